"""Colours, shape, orientation and fields: clips look as a player shows their source."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.unit.media.cut_files import PLAIN, clips, right
from tests.unit.media.numbered import corners, look, make
from winnow.stages import probe


def test_full_range_stays_full_range(tmp_path: Path) -> None:
    path = make(replace(PLAIN, pixels="yuvj420p"), tmp_path / "a.mp4")
    found = clips(path, window_s=2.5)
    assert {o.values["cut"] for o in found} == {"copy", "encode"}
    colours = []
    for outcome in found:
        with av.open(io.BytesIO(outcome.files["mp4"])) as clip:
            frame = next(clip.decode(video=0))
            assert frame.color_range == 2
            colours.append(frame.to_ndarray(format="rgb24")[:12, :60].reshape(-1, 3).mean(axis=0))
    assert np.ptp(np.array(colours), axis=0).max() < 4


def test_red_green_and_blue_get_a_matrix_that_420_has(tmp_path: Path) -> None:
    path = make(replace(PLAIN, video="libx264rgb", pixels="rgb24", container="mkv"), tmp_path / "a.mkv")
    for outcome, seen in zip(found := clips(path), right(found, 150), strict=True):
        assert seen.corners == "RBGY"
        with av.open(io.BytesIO(outcome.files["mp4"])) as clip:
            frame = next(clip.decode(video=0))
            assert (frame.format.name, frame.colorspace, frame.color_range) == ("yuv420p", 6, 1)


MATRICES = {
    "mirrored": ((-1, 0, 0, 1), "BRYG"),
    "upside down": ((1, 0, 0, -1), "GYRB"),
    "half": ((-1, 0, 0, -1), "YGBR"),
    "clockwise": ((0, 1, -1, 0), "GRYB"),
    "counter-clockwise": ((0, -1, 1, 0), "BYRG"),
    "transposed": ((0, 1, 1, 0), "RGBY"),
    "anti-transposed": ((0, -1, -1, 0), "YBGR"),
}


@pytest.mark.parametrize("name", MATRICES)
def test_every_orientation_is_undone_and_pixels_keep_their_shape(tmp_path: Path, name: str) -> None:
    (a, b, c, d), wanted = MATRICES[name]
    matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]

    def prepare(stream) -> None:
        stream.set_display_matrix(matrix)
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)

    found = clips(make(replace(PLAIN, seconds=2.0, audio=None, prepare=prepare), tmp_path / "a.mp4"))
    with av.open(io.BytesIO(found[0].files["mp4"])) as clip:
        frame = next(clip.decode(video=0))
        assert frame.rotation == 0
        assert corners(frame.to_ndarray(format="rgb24")) == wanted
        sar = clip.streams.video[0].sample_aspect_ratio
    assert sar == (Fraction(45, 64) if a == 0 else Fraction(64, 45))


def test_interlaced_video_stays_marked_as_such(tmp_path: Path) -> None:
    recipe = replace(PLAIN, gop=150, options=(("x264-params", "tff=1"),))
    found = clips(make(recipe, tmp_path / "a.mp4"), window_s=2.5)
    for outcome in found:
        with av.open(io.BytesIO(outcome.files["mp4"])) as clip:
            assert next(clip.decode(video=0)).interlaced_frame
    right(found, 150)


def test_fields_that_are_turned_become_pictures(tmp_path: Path) -> None:
    """Fields are lines: by 90° they would be columns, which no file can say. Upside down the other one comes first."""
    for turned, told in (((0, 1, -1, 0), False), ((-1, 0, 0, -1), True)):
        a, b, c, d = turned

        def prepare(stream, matrix=(a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)) -> None:
            stream.set_display_matrix(list(matrix))

        recipe = replace(PLAIN, seconds=1.0, audio=None, options=(("x264-params", "tff=1"),), prepare=prepare)
        (outcome,) = clips(make(recipe, tmp_path / f"{told}.mp4"))
        with av.open(io.BytesIO(outcome.files["mp4"])) as clip:
            frames = list(clip.decode(video=0))
            order = clip.streams.video[0].codec_context.field_order
        assert len(frames) == 25
        assert {frame.interlaced_frame for frame in frames} == {told}
        assert corners(frames[0].to_ndarray(format="rgb24")) == ("YGBR" if told else "GRYB")
        assert probe.measure(outcome.files["mp4"])["interlaced"] is told
        assert order in ((3, 5) if told else (0, 1))


def test_what_a_probe_says_of_a_clip_is_what_its_row_says(tmp_path: Path) -> None:
    for outcome in clips(make(PLAIN, tmp_path / "a.mp4"), window_s=1.3):
        found = probe.measure(outcome.files["mp4"])
        assert found["n_frames"] == len(look(outcome.files["mp4"]).numbers)
        assert (found["width"], found["height"]) == (outcome.values["width"], outcome.values["height"])


def test_high_dynamic_range_is_told_and_measured_as_a_screen_shows_it(tmp_path: Path) -> None:
    """The recipe's yellow corner, red and green 230 of 255, is 4,000 cd/m² under PQ: far above white, so shown as
    light as a screen can; its ground, 90 of 255, is 20 cd/m²."""

    def prepare(stream) -> None:
        codec = stream.codec_context
        codec.color_trc, codec.color_primaries, codec.colorspace, codec.color_range = 16, 9, 9, 1

    from winnow.media import decode

    (hdr,) = clips(make(replace(PLAIN, seconds=2.0, prepare=prepare), tmp_path / "a.mp4"))
    found = probe.measure(hdr.files["mp4"])
    assert (found["hdr"], found["colour_transfer"], found["colour_primaries"]) == (True, "smpte2084", "bt2020")
    with decode.opened(hdr.files["mp4"]) as clip:
        frame = next(clip.frames(clip.require_video()))
        rgb, gray = decode.Shrinker("rgb24", 160, 96)(frame), decode.Shrinker("gray", 160, 96)(frame)
    assert rgb[-8, 140, :2].min() > 248
    assert rgb[30, 80] == pytest.approx([96] * 3, abs=9)
    assert np.abs(gray[30, 80].astype(int) - rgb[30, 80].mean()) < 6
    (plain,) = clips(make(replace(PLAIN, seconds=2.0), tmp_path / "b.mp4"))
    assert probe.measure(plain.files["mp4"])["hdr"] is False
