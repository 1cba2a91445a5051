"""Decoding helpers: what they give, at which times, and how they fail."""

from __future__ import annotations

import av
import numpy as np
import pytest

from tests.unit.signals import moving_square, mp4, sine, textured
from winnow.core.sample import Reason, SampleFailed
from winnow.media import decode


def test_times_are_on_one_clock_for_picture_and_sound() -> None:
    data = mp4(moving_square(2), sine(2, 440, -12))
    with decode.opened(data) as clip:
        times_s = [clip.time_s(frame) for frame in clip.frames(clip.require_video())]
    with decode.opened(data) as clip:
        heard_s = clip.time_s(next(clip.frames(clip.require_audio())))
    assert times_s == pytest.approx(np.arange(50) / 25, abs=1e-3)
    assert abs(heard_s) < 0.05


def test_skipping_leaves_pictures_out_and_their_times_right() -> None:
    data = mp4(moving_square(2), bframes=2)
    with decode.opened(data, skip="NONREF") as clip:
        times_s = [clip.time_s(frame) for frame in clip.frames(clip.require_video())]
    assert 10 <= len(times_s) < 50
    assert np.allclose(np.array(times_s) * 25, np.round(np.array(times_s) * 25), atol=1e-3)


@pytest.mark.parametrize("data", [b"", b"a text file named .mp4" * 50, b"\x00" * 4096])
def test_what_is_no_media_fails_as_undecodable(data: bytes) -> None:
    with pytest.raises(SampleFailed) as failure, decode.opened(data):
        pass
    assert failure.value.reason is Reason.undecodable
    assert "/" not in failure.value.detail


def test_a_playlist_is_not_followed() -> None:
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/clip.ts\n#EXT-X-ENDLIST\n"
    with pytest.raises(SampleFailed) as failure, decode.opened(playlist):
        pass
    assert failure.value.reason is Reason.undecodable


def test_damage_ends_or_leaves_out_but_does_not_raise() -> None:
    data = bytearray(mp4(moving_square(2)))
    start = data.index(b"mdat") + 2000
    data[start : start + 3000] = bytes(3000)
    with decode.opened(bytes(data)) as clip:
        decoded = list(clip.frames(clip.require_video()))
    assert len(decoded) > 10


def test_missing_streams_have_their_reasons() -> None:
    with decode.opened(mp4([textured(0)] * 10)) as clip, pytest.raises(SampleFailed) as failure:
        clip.require_audio()
    assert failure.value.reason is Reason.no_audio_stream
    with decode.opened(mp4(None, sine(1, 440, -12))) as clip, pytest.raises(SampleFailed) as failure:
        clip.require_video()
    assert failure.value.reason is Reason.no_video_stream


def test_shrinking_averages_and_uses_the_full_range() -> None:
    for value in (0, 128, 255):
        with decode.opened(mp4([np.full((96, 128), value, np.uint8)] * 3)) as clip:
            small = decode.Shrinker("gray", 64, 48)(next(clip.frames(clip.require_video())))
        assert small.shape == (48, 64)
        assert np.abs(small.astype(int) - value).max() <= 3


def test_waveform_resamples_and_mixes_down() -> None:
    stereo = np.concatenate([sine(2, 440, -6), sine(2, 440, -20)])
    with decode.opened(mp4(None, stereo)) as clip:
        frames = list(clip.frames(clip.require_audio()))
    native = decode.waveform(frames)
    mono = decode.waveform(frames, rate_hz=16_000, mono=True)
    assert native.shape[0] == 2
    assert mono.shape[0] == 1
    assert abs(mono.shape[1] - 32_000) < 1600
    assert np.abs(native[:, 4000:80_000]).max(axis=1) == pytest.approx([10 ** (-6 / 20), 0.1], rel=0.03)
    assert np.abs(mono[0, 2000:30_000]).max() == pytest.approx((10 ** (-6 / 20) + 0.1) / 2, rel=0.03)


def test_frames_of_any_format_become_planar_float() -> None:
    tone = sine(0.5, 440, -6, channels=2)
    packed = (tone.T.reshape(1, -1) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
    frame.rate = 44_100
    assert np.abs(decode.waveform([frame]) - tone).max() < 1e-3
    assert decode.waveform([]).shape == (1, 0)
