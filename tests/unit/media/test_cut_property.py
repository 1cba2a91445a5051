"""Whatever the file and the windows are: the right first and last picture, all between them once, sound and picture
together to half a picture, and rows that say what is in the files. `WINNOW_EXAMPLES` says how many files a run draws,
and draws others each time; without it they are the same few."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.media.cut_files import clips, merged
from tests.unit.media.numbered import BURST_S, EVERY_S, Recipe, look, make, rewritten

#: Containers with the codecs that go into them here.
KINDS = [
    ("mp4", "libx264", "aac"),
    ("mkv", "libx264", "aac"),
    ("ts", "libx264", "aac"),
    ("mov", "libx264", "pcm_s16le"),
    ("mkv", "mpeg4", "mp3"),
    ("avi", "mpeg4", "pcm_s16le"),
    ("avi", "libx264", "pcm_s16le"),
    ("avi", "mpeg4", None),
    ("webm", "libvpx", "libopus"),
    ("mp4", "libx264", None),
]


EXAMPLES = os.environ.get("WINNOW_EXAMPLES")
TURNS = {0: (1, 0, 0, 1), 90: (0, -1, 1, 0), 180: (-1, 0, 0, -1), 270: (0, 1, -1, 0)}


@dataclass(frozen=True)
class File:
    """How a file is made: its recipe, degrees by which its pictures are to be turned, how many pictures of 25 a second
    each stands for, where its sound has a gap, s, and whether another track of sound comes first."""

    recipe: Recipe
    turned: int
    step: int
    gap: tuple[float, float] | None
    commentary: bool


@st.composite
def files(draw: st.DrawFn) -> File:
    """Files of all kinds."""
    container, video, sound = draw(st.sampled_from(KINDS))
    bframes = draw(st.integers(0, 3 if video == "libx264" else 1 if container == "avi" else 0))
    start_s = draw(st.sampled_from([0.0, 1.0])) if container in ("ts", "mkv") else 0.0
    step = draw(st.sampled_from([1, 1, 2])) if container in ("mp4", "mkv", "mov") else 1
    turned = draw(st.sampled_from([0, 0, *TURNS])) if container in ("mp4", "mov") else 0
    seconds = draw(st.sampled_from([2.0, 3.2, 4.0]))

    def prepare(stream) -> None:
        a, b, c, d = TURNS[turned]
        stream.set_display_matrix([a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30])

    recipe = Recipe(
        seconds=seconds,
        container=container,
        video=video,
        audio=sound,
        bframes=bframes,
        gop=draw(st.sampled_from([10, 25, 1000])),
        start_s=start_s,
        prepare=prepare if turned else None,
        pixels=draw(st.sampled_from(["yuv420p", "yuvj420p"])) if video == "libx264" else "yuv420p",
        times=tuple(n * step / 25 for n in range(round(seconds * 25) // step)) if step > 1 else None,
    )
    copies = container == "mp4" or (container == "mkv" and not bframes)  # it wants times of decoding that rise
    gap = draw(st.sampled_from([None, None, (1.1, 1.7)])) if copies else None
    commentary = draw(st.booleans()) if container == "mkv" and not bframes and step == 1 and gap is None else False
    return File(recipe, turned, step, gap, commentary)


def made(file: File, folder: Path) -> Path:
    """The file in a folder."""
    recipe = file.recipe
    path = make(recipe, folder / f"a.{recipe.container}")
    if file.gap is not None:
        low, high = (Fraction(edge + recipe.start_s) for edge in file.gap)
        path = rewritten(
            path,
            folder / f"b.{recipe.container}",
            recipe.container,
            lambda kind, _, packet: kind == "video" or not low < packet.pts * packet.time_base < high,
        )
    if file.commentary:
        other = make(replace(recipe, first=200, times=None), folder / f"o.{recipe.container}")
        path = merged(folder, [(path, "video", 1, ""), (other, "audio", 0, ""), (path, "audio", 1, "")], "c.mkv")
    return path


@settings(
    max_examples=int(EXAMPLES or 12),
    deadline=None,
    derandomize=EXAMPLES is None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
@given(file=files(), window_s=st.sampled_from([0.7, 1.0, 1.28, 5.0]), hop_s=st.sampled_from([None, 0.5, 0.64]))
def test_clips_are_what_their_rows_say(file: File, window_s: float, hop_s: float | None) -> None:
    recipe, step = file.recipe, file.step
    with tempfile.TemporaryDirectory() as name:
        found = clips(made(file, Path(name)), window_s=window_s, hop_s=hop_s, tail_s=0.3)
    assert [outcome.detail for outcome in found if outcome.reason] == []
    for outcome in found:
        values, seen = outcome.values, look(outcome.files["mp4"])
        first, last = round(values["start_s"] * 25 + 1e-6), round(values["end_s"] * 25 - 1e-6)
        if not file.turned:
            assert seen.numbers == list(range(seen.numbers[0], seen.numbers[-1] + 1, step))
            assert abs(seen.numbers[0] - first) <= step
            assert abs(seen.numbers[-1] + step - last) <= step
            assert abs(seen.picture_s + values["start_s"]) <= 0.021 * step
        assert seen.corners == "RBGY" or file.turned
        assert len(seen.numbers) == pytest.approx(values["duration_s"] * 25 / step, abs=1.01)
        assert abs(seen.lasts_s - values["duration_s"]) <= 0.002
        assert abs(values["duration_s"] - (values["end_s"] - values["start_s"])) <= 0.041 * step
        assert (values["rotation"], values["sound_tracks"]) == (
            file.turned,
            (recipe.audio is not None) + file.commentary,
        )
        begun = 0 < seen.numbers[0] / 25 % EVERY_S < BURST_S  # a sound that began before the clip
        if seen.sound_s is not None and not file.turned and (seen.bursts > 1 or not begun):
            assert abs(seen.sound_s - seen.picture_s) <= 0.02
