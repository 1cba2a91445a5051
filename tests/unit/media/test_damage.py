"""Damage in a source: told, whether its pictures are copied or encoded, and the good clips kept."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import av
import pytest

from tests.unit.media.cut_files import PLAIN, clips
from tests.unit.media.numbered import look, make, rewritten
from winnow.core.sample import Reason
from winnow.media import clip_check
from winnow.stages import probe


@pytest.mark.parametrize("video", ["libx264", "libx265"])
@pytest.mark.parametrize("damage", ["zeros", "noise"])
def test_damage_is_told_whether_copied_or_encoded(tmp_path: Path, video: str, damage: str) -> None:
    quiet = (("x265-params", "log-level=none"),) if video == "libx265" else ()
    recipe = replace(PLAIN, video=video, options=(*quiet, ("crf", "10")))
    path = make(recipe, tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    lot = random.Random(1)
    for at, size in places[60:95]:
        data[at : at + size] = bytes(size) if damage == "zeros" else bytes(lot.randrange(256) for _ in range(size))
    path.write_bytes(data)
    found = clips(path)
    assert [(o.values["start_s"]) for o in found if o.reason is None] == [0.0, 4.0]
    (failed,) = (o for o in found if o.reason)
    assert failed.reason is Reason.undecodable
    assert failed.detail.startswith("1 of its 3 clips: 2.000 to 4.000 s: ")
    assert "pictures are damaged" in failed.detail


def test_pictures_before_the_first_key_picture_are_left_out(tmp_path: Path) -> None:
    source = make(replace(PLAIN, gop=25), tmp_path / "s.mp4")
    path = rewritten(source, tmp_path / "a.mkv", "mkv", lambda kind, at, _: kind == "audio" or at >= 10)
    found = clips(path)
    assert found[0].values["start_s"] == pytest.approx(1.0, abs=0.03)
    assert look(found[0].files["mp4"]).numbers[0] == 25


def test_copied_sound_that_does_not_decode_is_told(tmp_path: Path) -> None:
    path = make(PLAIN, tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.size]
    data = bytearray(path.read_bytes())
    for at, size in places[100:130]:
        data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    (failed,) = clips(path, window_s=6.0)
    assert failed.reason is Reason.undecodable
    assert "packets of sound are damaged" in failed.detail


def test_an_encoded_clip_counts_what_lies_in_its_file(tmp_path: Path) -> None:
    data = clips(make(replace(PLAIN, video="mpeg4"), tmp_path / "a.mp4"), window_s=6.0)[0].files["mp4"]
    found = clip_check.check(data, copied=False, copied_sound=False)
    assert (found.pictures, found.picture_s) == (150, 6.0)
    assert clip_check.check(data[: len(data) * 2 // 3], copied=False, copied_sound=False).pictures < 120


def test_a_probe_counts_what_decodes(tmp_path: Path) -> None:
    path = make(replace(PLAIN, audio=None, options=(("crf", "10"),)), tmp_path / "a.mp4")
    assert probe.measure(path.read_bytes())["n_frames"] == 150
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for at, size in places[60:95]:
        data[at : at + size] = bytes(size)
    assert 80 <= probe.measure(bytes(data))["n_frames"] <= 116


@pytest.mark.parametrize("container", ["mp4", "ts"])
@pytest.mark.parametrize(("window_s", "good"), [(2.0, [0.0, 4.0]), (1.5, [0.0, 4.5])])
def test_pictures_after_a_missing_one_are_damaged(
    tmp_path: Path, window_s: float, good: list[float], container: str
) -> None:
    """Copied and encoded alike. Each packet that is left is a whole picture, and FFmpeg decodes it: to another one."""
    source = make(replace(PLAIN, audio=None), tmp_path / "s.mp4")
    path = rewritten(source, tmp_path / f"a.{container}", container, lambda kind, at, _: at not in range(60, 64))
    found = clips(path, window_s=window_s)
    assert [o.values["start_s"] for o in found if o.reason is None] == pytest.approx(good, abs=0.001)
    (failed,) = (o for o in found if o.reason)
    assert failed.reason is Reason.undecodable
    assert "pictures refer to missing ones and are damaged" in failed.detail
