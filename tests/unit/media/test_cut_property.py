"""Whatever the file and the windows are: the right first and last picture, all between them once, sound and picture
together to half a picture, and rows that say what is in the files."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.media.numbered import Recipe, look, make, rewritten
from tests.unit.media.test_files_as_they_are import clips

#: Containers with the codecs that go into them here.
KINDS = [
    ("mp4", "libx264", "aac"), ("mkv", "libx264", "aac"), ("ts", "libx264", "aac"), ("mov", "libx264", "pcm_s16le"),
    ("mkv", "mpeg4", "mp3"), ("avi", "mpeg4", None), ("webm", "libvpx", "libopus"), ("mp4", "libx264", None),
]  # fmt: skip


@st.composite
def files(draw: st.DrawFn) -> tuple[Recipe, tuple[float, float] | None]:
    """How a file is made, and where its sound has a gap, s."""
    container, video, sound = draw(st.sampled_from(KINDS))
    bframes = draw(st.integers(0, 3)) if video == "libx264" else 0
    start_s = draw(st.sampled_from([0.0, 1.0])) if container in ("ts", "mkv") else 0.0
    recipe = Recipe(
        seconds=draw(st.sampled_from([2.0, 3.2, 4.0])), container=container, video=video, audio=sound, bframes=bframes,
        gop=draw(st.sampled_from([10, 25, 1000])), start_s=start_s,
    )  # fmt: skip
    return recipe, draw(st.sampled_from([None, None, (1.1, 1.7)]))


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(file=files(), window_s=st.sampled_from([0.7, 1.0, 1.28, 5.0]), hop_s=st.sampled_from([None, 0.5, 0.64]))
def test_clips_are_what_their_rows_say(
    file: tuple[Recipe, tuple[float, float] | None], window_s: float, hop_s: float | None
) -> None:
    recipe, gap = file
    with tempfile.TemporaryDirectory() as name:
        path = make(recipe, Path(name) / f"a.{recipe.container}")
        if gap is not None and recipe.container in ("mp4", "mkv"):
            low, high = (Fraction(edge + recipe.start_s) for edge in gap)
            path = rewritten(
                path, Path(name) / f"b.{recipe.container}", recipe.container,
                lambda kind, _, packet: kind == "video" or not low < packet.pts * packet.time_base < high,
            )  # fmt: skip
        found = clips(path, window_s=window_s, hop_s=hop_s, tail_s=0.3)
        assert [outcome.detail for outcome in found if outcome.reason] == []
        for outcome in found:
            values, seen = outcome.values, look(outcome.files["mp4"])
            first, last = round(values["start_s"] * 25 + 1e-6), round(values["end_s"] * 25 - 1e-6)
            assert seen.numbers == list(range(seen.numbers[0], seen.numbers[-1] + 1))
            assert abs(seen.numbers[0] - first) <= 1
            assert abs(seen.numbers[-1] + 1 - last) <= 1
            assert abs(seen.picture_s + values["start_s"]) <= 0.021
            assert abs(seen.lasts_s - values["duration_s"]) <= 0.002
            assert abs(values["duration_s"] - (values["end_s"] - values["start_s"])) <= 0.041
            late_s = 0.026 if recipe.audio in ("mp3",) else 0.0  # no container here tells MP3's delay
            if seen.sound_s is not None:
                assert abs(seen.sound_s - seen.picture_s - late_s) <= 0.02
