"""Sound as the measuring stages take it: one level whatever the channels and the codec, gaps where they are."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.unit.signals import mp4, sine
from winnow.core.sample import SampleFailed
from winnow.media import decode, downmix
from winnow.stages import audio, probe

LAYOUTS = ["mono", "stereo", "2.1", "3.0", "4.0", "quad", "5.0", "5.1", "5.1(side)", "6.1", "7.0", "7.1"]
RATE = 48_000


def encoded(wave: np.ndarray, layout: str, codec: str, container: str = "matroska") -> list[av.AudioFrame]:
    """Decoded frames of a waveform after a trip through a codec."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=RATE, layout=layout)
        if codec == "aac":
            stream.bit_rate = 128_000 * len(wave)
        stream.codec_context.format = "fltp" if codec == "aac" else "s16"
        whole = np.clip(wave * 2**15, -(2**15), 2**15 - 1).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole.T.reshape(1, -1), format="s16", layout=layout)
        frame.rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            out.mux(packet)
    file.seek(0)
    with av.open(file) as container_:
        return list(container_.decode(audio=0))


def rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wave[:, 4096:-4096], dtype=np.float64))))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_coefficients_sum_to_one_on_either_side(layout: str) -> None:
    names = tuple(channel.name for channel in av.AudioLayout(layout).channels)
    weights = downmix.coefficients(names)
    assert weights.shape == (2, len(names))
    assert weights.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert (weights >= 0).all()


@pytest.mark.parametrize("codec", ["aac", "flac", "pcm_s16le"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_all_channels_hold_keeps_its_level(layout: str, codec: str) -> None:
    if codec == "aac" and layout in ("2.1", "quad", "5.1(side)", "7.0", "6.1"):
        pytest.skip("FFmpeg's AAC encoder has no such layout")
    channels = len(av.AudioLayout(layout).channels)
    wave = sine(1, 440, -6, RATE, channels)
    frames = encoded(wave, layout, codec)
    assert frames[0].layout.nb_channels == channels
    heard = decode.waveform(frames, mono=True)
    assert rms(heard) == pytest.approx(rms(wave), rel=0.02)
    assert np.abs(decode.waveform(frames)).max() <= 1.0


def test_a_level_20_db_lower_comes_out_20_db_lower_and_nothing_is_clipped() -> None:
    loud = np.concatenate([sine(1, 440, -0.1, RATE, 6), sine(1, 440, -20.1, RATE, 6)], axis=1)
    heard = decode.waveform(encoded(loud, "5.1", "flac"))
    first, second = rms(heard[:, :RATE]), rms(heard[:, RATE:])
    assert 20 * np.log10(first / second) == pytest.approx(20.0, abs=0.05)
    assert np.abs(heard).max() <= 1.0


def test_surround_is_as_loud_in_every_codec() -> None:
    wave = sine(3, 1000, -12, RATE, 6)
    lufs = []
    for codec in ("aac", "flac"):
        frames = encoded(wave, "5.1", codec)
        lufs.append(probe.sound_measures(decode.waveform(frames), RATE, probe.Probe.Params())["loudness_lufs"])
    assert lufs[0] == pytest.approx(lufs[1], abs=0.3)


def test_stereo_that_cancels_itself_out_is_heard() -> None:
    tone = sine(3, 440, -12)
    data = mp4(None, np.concatenate([tone, -tone]))
    with decode.opened(data) as clip:
        frames = list(clip.frames(clip.require_audio()))
    assert rms(decode.waveform(frames, mono=True)) == pytest.approx(rms(tone), rel=0.02)
    both, one = audio.measure(data), audio.measure(mp4(None, np.concatenate([tone, tone])))
    assert both["a0"] == pytest.approx(one["a0"], abs=0.2)


def test_a_gap_stays_a_gap_and_an_overlap_is_dropped() -> None:
    frames = []
    for at in (0, 1024, 50_000, 50_000):
        frame = av.AudioFrame.from_ndarray(np.full((1, 1024), 0.5, np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
        frames.append(frame)
    wave = decode.waveform(frames)[0]
    assert len(wave) == 51_024
    assert (wave[:2048] == 0.5).all()
    assert (wave[2048:50_000] == 0).all()
    assert (wave[50_000:] == 0.5).all()
    frames[-1].pts = 10**12
    with pytest.raises(SampleFailed, match="its sound stops for"):
        decode.waveform(frames)


def test_a_shape_that_changes_on_the_way_is_no_error() -> None:
    frames, at = [], 0
    for layout, rate in (("mono", RATE), ("stereo", RATE), ("5.1", RATE), ("stereo", 24_000)):
        channels = len(av.AudioLayout(layout).channels)
        part = np.full((channels, rate), 0.25, np.float32)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
        frame.rate, frame.pts, frame.time_base = rate, at, Fraction(1, RATE)
        frames.append(frame)
        at += RATE
    wave = decode.waveform(frames)
    assert wave.shape[0] == 2
    assert wave.shape[1] == pytest.approx(4 * RATE, abs=100)
    assert np.abs(wave[:, 1000:-1000] - 0.25).max() < 0.05
