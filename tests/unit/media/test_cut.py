"""Cutting: exactly the window's pictures, copied where that is possible, the same bytes every time, damage told."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.unit.flashes import Recipe, look, make
from tests.unit.media import numbered
from winnow.core.sample import Reason, SampleFailed
from winnow.media import clip_cutter as module
from winnow.media.clip_cutter import EncodedClip, Encoding, cut
from winnow.media.shots import shots
from winnow.media.video_index import VideoIndex, scan

FAST = Encoding("ultrafast", 23)
PLAIN = Recipe("plain", seconds=8.0, gop=25, bframes=2)


def encoded_clips(index: VideoIndex, work: Path, *windows: tuple[float, float]) -> list[EncodedClip]:
    found = dict(cut(index, windows, work, FAST))
    assert sorted(found) == list(range(len(windows)))
    return [found[number] for number in range(len(windows))]


def pictures(source: bytes | Path) -> list[bytes]:
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as container:
        return [frame.to_ndarray(format="gray").tobytes() for frame in container.decode(video=0)]


def test_a_scan_knows_the_pictures_without_decoding_them(tmp_path: Path) -> None:
    index = scan(make(PLAIN, tmp_path / "a.mp4"))
    assert (index.rate, index.width, index.height, index.can_copy) == (25, 96, 64, True)
    assert len(index.shown) == 200
    assert index.end_s == pytest.approx(8.0)
    assert index.pictures(0.0, 8.0) == (0, 200)
    assert index.pictures(1.0, 2.0) == (25, 50)
    assert index.pictures(1.019, 2.021) == (25, 51)
    assert index.pictures(7.99, 9.0) == (200, 200)


def test_copied_pictures_are_the_sources_own(tmp_path: Path) -> None:
    index = scan(make(PLAIN, tmp_path / "a.mp4"))
    whole, middle, tail = encoded_clips(index, tmp_path, (0.0, 8.0), (2.0, 5.0), (6.0, 8.0))
    source = pictures(tmp_path / "a.mp4")
    assert [whole.copied, middle.copied, tail.copied] == [True] * 3
    assert pictures(whole.data) == source
    assert pictures(middle.data) == source[50:125]
    assert pictures(tail.data) == source[150:]


@pytest.mark.parametrize("recipe", [PLAIN, replace(PLAIN, gop=1000), replace(PLAIN, container="mkv", bframes=0)])
def test_encoded_pictures_are_the_windows(tmp_path: Path, recipe: Recipe) -> None:
    index = scan(make(recipe, tmp_path / f"a.{recipe.container}"))
    (encoded,) = encoded_clips(index, tmp_path, (1.52, 4.2))
    assert not encoded.copied
    source = pictures(index.path)[38:105]
    found = pictures(encoded.data)
    assert len(found) == len(source)
    for made, wanted in zip(found, source, strict=True):
        difference = np.frombuffer(made, np.uint8).astype(int) - np.frombuffer(wanted, np.uint8)
        assert np.abs(difference).mean() < 6


def test_a_start_that_is_no_fresh_start_is_not_copied(tmp_path: Path) -> None:
    recipe = replace(PLAIN, bframes=3, options=(("x264-params", "scenecut=0:open-gop=1"),))
    index = scan(make(recipe, tmp_path / "a.mp4"))
    assert not index.can_copy
    (encoded,) = encoded_clips(index, tmp_path, (2.0, 4.0))
    assert not encoded.copied
    assert len(look(encoded.data).times_s) == 50


def test_an_end_that_would_lose_or_gain_pictures_is_not_copied(tmp_path: Path) -> None:
    index = scan(make(replace(PLAIN, bframes=3), tmp_path / "a.mp4"))
    ends = [2.0 + k / 25 for k in range(26, 50)]
    made = encoded_clips(index, tmp_path, *((2.0, end) for end in ends))
    assert {p.copied for p in made} == {True, False}
    for end, encoded in zip(ends, made, strict=True):
        assert len(pictures(encoded.data)) == round((end - 2.0) * 25)


def test_the_same_bytes_every_time_and_in_any_company(tmp_path: Path) -> None:
    index = scan(make(replace(PLAIN, audio="aac", seconds=8.0), tmp_path / "a.mp4"))
    windows = [(0.0, 4.0), (1.3, 3.7), (2.2, 6.6), (5.0, 8.0)]
    together = [p.data for p in encoded_clips(index, tmp_path, *windows)]
    alone = [encoded_clips(scan(index.path), tmp_path, window)[0].data for window in windows]
    backwards = [p.data for p in encoded_clips(index, tmp_path, *reversed(windows))][::-1]
    assert together == alone == backwards


def test_pictures_are_decoded_once_and_only_where_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = scan(make(replace(PLAIN, seconds=12.0), tmp_path / "a.mp4"))
    seen: list[int] = []
    inner = module.ClipFile.encode_picture

    def count(self, frame):
        seen.append(frame.pts)
        inner(self, frame)

    monkeypatch.setattr(module.ClipFile, "encode_picture", count)
    encoded_clips(index, tmp_path, (1.5, 2.5), (9.1, 9.9), (0.0, 1.0))
    assert len(seen) < 140
    assert min(seen) >= index.shown[25]


@pytest.mark.parametrize("kind", ["keys", "one key", "one picture"])
def test_files_are_open_only_while_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    if kind == "one picture":
        path = numbered.make(numbered.Recipe(seconds=20.0, times=(0.0,)), tmp_path / "a.mp4")
    else:
        path = make(replace(PLAIN, seconds=20.0, gop=50 if kind == "keys" else 1000), tmp_path / "a.mp4")
    most, inner = [0], module._Pass._do

    def count(self, item, *what):
        most[0] = max(most[0], len(self.active))
        inner(self, item, *what)

    monkeypatch.setattr(module._Pass, "_do", count)
    made = encoded_clips(scan(path), tmp_path, *((k + 0.1, k + 1.1) for k in range(19)))
    assert all(isinstance(p, EncodedClip) for p in made)
    assert {round(p.duration_s, 1) for p in made} == {1.0}
    assert most[0] <= 4


# -- shapes ------------------------------------------------------------------------------------------------------------
def test_odd_sizes_lose_a_row_and_a_column(tmp_path: Path) -> None:
    recipe = Recipe("odd", container="mkv", video="libvpx-vp9", audio=None, width=107, height=61, seconds=2.0)
    index = scan(make(recipe, tmp_path / "a.mkv"))
    assert (index.width, index.height) == (107, 61)
    (encoded,) = encoded_clips(index, tmp_path, (0.0, 1.0))
    seen = look(encoded.data)
    assert (encoded.width, encoded.height, seen.width, seen.height) == (106, 60, 106, 60)
    assert (encoded.has_audio, encoded.av_offset_s, seen.codecs) == (False, None, ("h264",))


@pytest.mark.parametrize(("rotation", "size"), [(90, (64, 96)), (180, (96, 64)), (270, (64, 96))])
def test_a_rotated_video_stands_upright(tmp_path: Path, rotation: int, size: tuple[int, int]) -> None:
    upright = scan(make(PLAIN, tmp_path / "up.mp4"))
    index = scan(make(replace(PLAIN, rotation=rotation), tmp_path / "a.mp4"))
    assert index.rotation == rotation
    (encoded,) = encoded_clips(index, tmp_path, (0.0, 1.0))
    assert (encoded.copied, (encoded.width, encoded.height)) == (False, size)
    with av.open(io.BytesIO(encoded.data)) as container:
        frame = next(container.decode(video=0))
    with av.open(str(upright.path)) as container:
        source = next(container.decode(video=0)).to_ndarray(format="gray").astype(int)
    assert frame.rotation == 0
    turned = np.rot90(source, rotation // 90)
    assert np.abs(frame.to_ndarray(format="gray") - turned).mean() < 6


def test_ten_bit_and_other_formats_become_plain_420(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p10le"
        for k in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * k, np.uint8), format="rgb24")
            out.mux(stream.encode(frame.reformat(format="yuv444p10le")))
        out.mux(stream.encode(None))
    index = scan(path)
    assert not index.can_copy
    (encoded,) = encoded_clips(index, tmp_path, (0.0, 1.0))
    with av.open(io.BytesIO(encoded.data)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_a_clip_begins_to_play_before_it_is_loaded(tmp_path: Path) -> None:
    index = scan(make(PLAIN, tmp_path / "a.mp4"))
    for encoded in encoded_clips(index, tmp_path, (0.0, 2.0), (0.5, 2.0)):
        assert encoded.data.index(b"moov") < encoded.data.index(b"mdat")
        assert b"Lavf" not in encoded.data


def test_variable_picture_rates_keep_their_times(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    times_ms = np.cumsum(np.random.default_rng(0).integers(20, 80, 120))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=20, options={"threads": "1", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time_ms in times_ms - times_ms[0]:
            frame = av.VideoFrame(64, 48, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.pts, frame.time_base = int(time_ms), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    index = scan(path)
    (encoded,) = encoded_clips(index, tmp_path, (1.0, 4.0))
    wanted = [t / 1000 for t in times_ms - times_ms[0] if 1.0 - index.half_s <= t / 1000 < 4.0 - index.half_s]
    assert look(encoded.data).times_s == pytest.approx([t - wanted[0] for t in wanted], abs=1e-3)


# -- shots -------------------------------------------------------------------------------------------------------------
def scenes(path: Path, lengths_s: list[float]) -> Path:
    """A video of plainly different scenes, each with a little motion."""
    rng = np.random.default_rng(3)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"threads": "1", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number, length_s in enumerate(lengths_s):
            scene = np.full((64, 96, 3), (30, 200, 90)[number % 3], np.uint8)
            scene[..., number % 3] += 25
            scene = scene + rng.integers(0, 25, scene.shape, dtype=np.uint8)
            for k in range(round(length_s * 25)):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(scene, k // 3, axis=1), format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_shots_are_found_and_the_last_is_not_lost(tmp_path: Path) -> None:
    index = scan(scenes(tmp_path / "a.mp4", [3.0, 2.0, 4.0]))
    found = shots(index, 27.0, 1.0)
    assert found == [pytest.approx(s, abs=0.041) for s in ((0.0, 3.0), (3.0, 5.0), (5.0, 9.0))]
    assert shots(scan(make(replace(PLAIN, seconds=3.0), tmp_path / "b.mp4")), 250.0, 1.0) == [pytest.approx((0.0, 3.0))]


# -- what cannot be cut ------------------------------------------------------------------------------------------------
def refused(path: Path) -> tuple[Reason, str]:
    with pytest.raises(SampleFailed) as failure:
        scan(path)
    assert str(path) not in failure.value.detail
    return failure.value.reason, failure.value.detail


def test_what_is_no_video_has_its_reason(tmp_path: Path) -> None:
    text = tmp_path / "a.mp4"
    text.write_text("no video\n" * 100)
    assert refused(text)[0] is Reason.undecodable
    sound = tmp_path / "b.wav"
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
        frame.rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert refused(sound) == (Reason.no_video_stream, "no stream of moving pictures")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
@pytest.mark.parametrize("container", ["mp4", "mkv", "faststart"])
def test_a_file_that_is_cut_off_is_told(tmp_path: Path, container: str, share: float) -> None:
    recipe = replace(PLAIN, seconds=20.0, container=container.replace("faststart", "mp4"))
    path = make(recipe, tmp_path / "a.bin")
    data = path.read_bytes()
    if container == "faststart":
        (encoded,) = encoded_clips(scan(path), tmp_path, (0.0, 20.0))
        data = encoded.data
    path.write_bytes(data[: int(share * len(data))])
    assert refused(path)[0] is Reason.undecodable


def test_damaged_pictures_are_told_and_the_others_kept(tmp_path: Path) -> None:
    recipe = replace(PLAIN, gop=25, bframes=0, audio=None)
    path = make(recipe, tmp_path / "a.mp4")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        broken = [(p.pos, p.size) for p in container.demux(video=0) if p.size][60:70]
    for at, size in broken:
        data[at + 8 : at + size] = np.random.default_rng(0).integers(0, 256, size - 8, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    bad, good = encoded_clips(scan(path), tmp_path, (2.1, 3.9), (4.1, 5.9))
    assert isinstance(bad, SampleFailed)
    assert bad.reason is Reason.undecodable
    assert isinstance(good, EncodedClip)


def test_an_empty_window_is_told(tmp_path: Path) -> None:
    (nothing,) = encoded_clips(scan(make(PLAIN, tmp_path / "a.mp4")), tmp_path, (1.021, 1.03))
    assert (nothing.reason, nothing.detail) == (Reason.empty_clip, "no picture between 1.021 s and 1.030 s")


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{0}\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.mpd"])
@pytest.mark.parametrize(
    "text", [PLAYLIST, "ffconcat version 1.0\nfile '{0}'\n", '<?xml version="1.0"?><MPD>{0}</MPD>']
)
def test_a_playlist_opens_no_other_file(tmp_path: Path, text: str, name: str) -> None:
    target = make(replace(PLAIN, container="ts", seconds=2.0), tmp_path / "real.ts")
    disguised = tmp_path / name
    disguised.write_text(text.format(target))
    assert refused(disguised)[0] is Reason.undecodable
