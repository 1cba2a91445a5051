"""Scenes: scores, shots at a raised threshold, the middle of shots, and the choice of those that look different."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from tests.unit.stages.test_clip import Clipper, times
from winnow.media import diverse_shots
from winnow.media.diverse_shots import Found, Scenes, diverse, scan_scenes, windows
from winnow.media.video_index import scan


def video(path: Path, takes: list[tuple[int, float]], fps: int = 10) -> Path:
    """A video of takes (which picture, seconds): noise of very low frequency that slides slowly."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps, options={"threads": "1", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for which, length_s in takes:
            rough = np.random.default_rng(which).integers(0, 256, (4, 6, 3), dtype=np.uint8)
            picture = np.kron(rough, np.ones((16, 16, 1), np.uint8))
            for k in range(round(length_s * fps)):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(picture, k // 8, axis=1), format="rgb24")))
        out.mux(stream.encode(None))
    return path


def found_in(cuts: dict[float, float], end_s: float, hashes: dict[float, int] | None = None) -> Scenes:
    """Scenes of a video with these boundaries (time → score)."""
    at = np.arange(0, end_s, 0.5)
    scores = np.array([cuts.get(float(t), 0.0) for t in at])
    seen = np.array([(hashes or {}).get(float(t), 0) for t in at], np.uint64)
    return Scenes(0.0, end_s, at, scores, at, seen)


def test_a_cut_scores_high_and_a_take_low(tmp_path: Path) -> None:
    scanned = scan_scenes(scan(video(tmp_path / "a.mp4", [(1, 3.0), (2, 2.0), (3, 4.0)])))
    assert len(scanned.times_s) == len(scanned.scores) == 90
    cut = np.isclose(scanned.times_s, 3.0) | np.isclose(scanned.times_s, 5.0)
    assert scanned.scores[cut].min() > 15
    assert scanned.scores[~cut].max() < 5
    assert scanned.shots(10.0) == [pytest.approx(s) for s in ((0.0, 3.0), (3.0, 5.0), (5.0, 9.0))]
    assert scanned.shots(99.0) == [pytest.approx((0.0, 9.0))]
    assert len(scanned.hashes) == len(scanned.hash_times_s) == 18


def test_the_scores_are_ffmpegs(tmp_path: Path) -> None:
    """scdet's definition (libavfilter): the mean absolute difference of luma in percent, or its change if less."""
    path = video(tmp_path / "a.mp4", [(1, 1.0), (2, 1.0)])
    with av.open(str(path)) as container:
        luma = [f.to_ndarray()[:64].astype(float) for f in container.decode(video=0)]
    mafd = [0.0] + [np.abs(b - a).sum() * 100 / a.size / 256 for a, b in pairwise(luma)]
    expected = [0.0] + [min(m, abs(m - before)) for before, m in pairwise(mafd)]
    assert max(expected) > 15
    assert scan_scenes(scan(path)).scores == pytest.approx(np.clip(expected, 0, 100), abs=0.01)


def test_the_threshold_is_raised_until_enough_shots_are_long_enough() -> None:
    flicker = found_in({float(t): 12.0 for t in range(1, 40)} | {20.0: 50.0}, 40.0)
    assert [(w.start_s, w.end_s) for w in windows(flicker, length_s=10, count=2, threshold=10, seed=(0, 1))] == [
        (5.0, 15.0),
        (25.0, 35.0),
    ]
    assert [w.shot for w in windows(flicker, length_s=10, count=2, threshold=10, seed=(0, 1))] == [0, 1]


def test_without_a_long_shot_the_middle_of_the_video_is_the_clip() -> None:
    restless = found_in({float(t): 100.0 for t in range(4, 24, 4)}, 25.0)
    assert windows(restless, length_s=10, count=3, threshold=10, seed=(0, 1)) == [Found(7.5, 17.5, None)]
    assert windows(found_in({}, 6.0), length_s=10, count=3, threshold=10, seed=(0, 1)) == [Found(0.0, 6.0, None)]


def test_the_tail_is_a_shot_and_ten_seconds_are_long_enough() -> None:
    scanned = found_in({10.0: 60.0}, 20.0)
    assert windows(scanned, length_s=10, count=3, threshold=10, seed=(0, 1)) == [
        Found(0.0, 10.0, 0),
        Found(10.0, 20.0, 1),
    ]


def test_the_choice_prefers_shots_that_share_no_picture() -> None:
    """Four shots, of which 0, 1 and 3 show the same: whichever comes first, 2 is among two chosen."""
    able = [Found(10.0 * i, 10.0 * i + 10, i) for i in range(4)]
    alike, other = np.zeros(5, np.uint64), np.full(5, 2**64 - 1, np.uint64)
    hashes = [alike, alike, other, alike]
    chosen = [{w.shot for w in diverse(able, hashes, 2, (seed,))} for seed in range(20)]
    assert all(2 in shots for shots in chosen)
    assert len({tuple(sorted(shots)) for shots in chosen}) > 1, "the first is drawn"
    assert diverse(able, hashes, 2, (7,)) == diverse(able, hashes, 2, (7,))


def test_pictures_are_the_same_within_a_few_bits() -> None:
    a = np.array([0, 2**64 - 1], np.uint64)
    assert diverse_shots.same_pictures(a, np.array([0b1111_1111], np.uint64)) == 1
    assert diverse_shots.same_pictures(a, np.array([0b1_1111_1111], np.uint64)) == 0
    assert diverse_shots.same_pictures(a, np.array([], np.uint64)) == 0


def test_a_video_is_cut_into_clips_that_differ(tmp_path: Path) -> None:
    clip = Clipper(tmp_path, window="diverse", window_s=2.0, max_clips=2)
    source = clip.put(video(tmp_path / "a.mp4", [(1, 3.0), (2, 4.0), (1, 3.0)]))
    made = clip((source, None, None))
    middle, outer = (4.0, 6.0), {(0.5, 2.5), (7.5, 9.5)}
    assert len(times(made)) == 2
    assert middle in times(made)
    assert set(times(made)) - {middle} < outer
    assert {o.values["window"] for o in made} == {"diverse"}
    assert {o.values["shot_index"] for o in made} <= {0, 1, 2}
    assert times(Clipper(tmp_path, window="diverse", window_s=2.0, max_clips=2)((source, None, None))) == times(made)


def test_a_hop_gives_whole_windows_only(tmp_path: Path) -> None:
    clip = Clipper(tmp_path, window_s=5.0, hop_s=1.0)
    source = clip.put(video(tmp_path / "a.mp4", [(1, 7.5)]))
    assert times(clip((source, None, None))) == [(0.0, 5.0), (1.0, 6.0), (2.0, 7.0)]
    short = clip.put(video(tmp_path / "b.mp4", [(2, 3.0)]))
    assert times(clip((short, None, None))) == [(0.0, 3.0)]
