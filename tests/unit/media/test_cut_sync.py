"""Sound and picture of a clip stay together within half a picture, whatever the source is and however it is cut."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.unit.flashes import Recipe, Seen, look, make
from winnow.media.clip_cutter import EncodedClip, Encoding, cut
from winnow.media.video_index import scan

ENCODING = Encoding("ultrafast", 23)
WINDOWS = [(0.0, 4.0), (4.0, 8.0), (1.37, 5.11), (6.02, 12.0), (0.0, 12.0)]
OPUS, NTSC = {"container": "webm", "audio": "libopus", "rate_hz": 48000}, Fraction(30000, 1001)

#: What an encoder of MP3 puts before its sound, s: AVI has no place to say so, so it is heard.
PRIMED_S = {"avi mp3": 1105 / 44100}

RECIPES = [
    Recipe("plain"),
    Recipe("mono16k", rate_hz=16000, layout="mono"),
    Recipe("48k", rate_hz=48000, fps=Fraction(30), gop=120),
    Recipe("ntsc", fps=NTSC, rate_hz=22050),
    Recipe("slow", fps=Fraction(15), rate_hz=32000, bframes=0, gop=15),
    Recipe("sixty", fps=Fraction(60), gop=60, bframes=3),
    Recipe("film", fps=Fraction(24000, 1001), gop=96),
    Recipe("odd rate", fps=Fraction(14), gop=14),
    Recipe("open gop", bframes=3, options=(("x264-params", "scenecut=0:open-gop=1"),)),
    Recipe("one key", gop=1000, bframes=3),
    Recipe("mkv", container="mkv", fps=NTSC, rate_hz=48000),
    Recipe("mkv opus", **(OPUS | {"container": "mkv"})),
    Recipe("vp9", video="libvpx-vp9", **OPUS),
    Recipe("vp8 mono", video="libvpx", layout="mono", fps=NTSC, **(OPUS | {"rate_hz": 16000})),
    Recipe("ts", container="ts", start_s=3.2),
    Recipe("later start", start_s=2.0),
    Recipe("mkv later start", container="mkv", start_s=1.5),
    Recipe("late sound", audio_late_s=2.0),
    Recipe("mov pcm", container="mov", audio="pcm_s16le", rate_hz=44100),
    Recipe("avi pcm", container="avi", audio="pcm_s16le", bframes=0),
    Recipe("avi mp3", container="avi", audio="mp3", bframes=0),
    Recipe("mpeg4", video="mpeg4", bframes=0),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_flashes_and_beeps_stay_together(recipe: Recipe, tmp_path: Path) -> None:
    index = scan(make(recipe, tmp_path / f"source.{recipe.container}"))
    half_s, late_s = 0.5 / float(recipe.fps), PRIMED_S.get(recipe.name, 0.0)
    assert index.end_s == pytest.approx(recipe.seconds, abs=2 * half_s)
    for number, encoded in cut(index, WINDOWS, tmp_path, ENCODING):
        assert isinstance(encoded, EncodedClip), encoded
        start_s, end_s = WINDOWS[number]
        seen = look(encoded.data)
        asked = [t - start_s for t in recipe.events_s if start_s + half_s < t < end_s - half_s]
        heard = [t + late_s for t in asked if t + start_s >= recipe.audio_late_s]
        near(seen.flashes_s, asked, half_s + 1e-3, f"{number}: flashes")
        near(seen.beeps_s, heard, half_s + 2e-3, f"{number}: beeps")
        together(seen, half_s + late_s, number)
        if not recipe.audio_late_s:
            near(seen.counted_s, heard, half_s + 2e-3, f"{number}: beeps by count")
        assert seen.times_s[0] == 0.0
        assert encoded.duration_s == pytest.approx(end_s - start_s, abs=2 * half_s)
        assert len(seen.times_s) == pytest.approx((end_s - start_s) * float(recipe.fps), abs=2)
        assert seen.audio_s == pytest.approx(end_s - max(start_s, recipe.audio_late_s), abs=0.14)
        assert seen.codecs == ("h264", "aac")


def together(seen: Seen, half_s: float, number: int) -> None:
    """Every beep falls on a flash."""
    for beep in seen.beeps_s:
        nearest = min(seen.flashes_s, key=lambda t: abs(t - beep))
        assert abs(nearest - beep) <= half_s, f"window {number}: beep at {beep:.4f} s, flash at {nearest:.4f} s"


def near(found: list[float], wanted: list[float], within_s: float, what: str) -> None:
    """The same times, one by one; events at a window's very edge may be in or out."""
    inner = [t for t in found if any(abs(t - w) <= within_s for w in wanted)]
    assert len(inner) == len(wanted), f"{what}: found {found}, wanted {wanted}"
