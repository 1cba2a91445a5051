"""The world is what its truth says, the same from every seed, and grows without touching what was there."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.world import World, make_world
from tests.world.acoustics import rms
from tests.world.classes import CLASSES
from tests.world.plan import DEFAULT_VIDEOS, PLANTS, make_plan
from tests.world.sound import parts, soundtrack
from tests.world.timeline import make_timeline
from tests.world.video import Video
from tests.world.visual import frames

ONE_OF_EACH = dict.fromkeys(PLANTS, 1) | {"redirect_private": 2, "mismatch": 3}
TINY = {"videos": 9, "seconds": (3.5, 5.0), "plants": {"mismatch": 2, "voice_over": 1, "near_duplicate": 1}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Thirty short videos with one of each plant."""
    root = tmp_path_factory.mktemp("world")
    return make_world(root, seed=5, videos=30, seconds=(4.0, 6.0), plants=ONE_OF_EACH, jobs=1)


def digests(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def planted(world: World, kind: str) -> Video:
    return next(video for video in world.videos if video.planted == kind)


def decoded(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Luma frames and mono samples of a file."""
    with av.open(str(path)) as container:
        luma = np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return luma, np.zeros(0)
        sound = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)])
    return luma, sound


def test_a_world_depends_on_its_seed_alone_and_a_fourth_day_changes_nothing_before_it(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    three = make_world(small, seed=7, jobs=1, **TINY)
    assert three.made == len([v for v in three.videos if v.file]) > 6
    before, truth = digests(small), three.truth()
    assert make_world(small, seed=7, jobs=1, **TINY).made == 0
    assert digests(small) == before

    four = make_world(small, seed=7, batches=4, jobs=1, **TINY)
    new = {v.file for v in four.videos if v.batch == 3 and v.file}
    assert four.made == len(new) == 3
    grown = digests(small)
    truths = {"truth.jsonl", "truth_rows.jsonl"}
    assert {name: grown[name] for name in before if name not in truths} == {
        name: value for name, value in before.items() if name not in truths
    }
    assert [row for row in four.truth() if row["batch"] != "2026-11-04"] == truth

    make_world(large, seed=7, batches=4, jobs=2, **TINY)
    assert digests(large) == grown

    make_world(large, seed=7, jobs=1, **TINY)
    assert digests(large) == before


def test_another_seed_is_another_world() -> None:
    first = make_plan(0, 12, 3, (4.0, 8.0))
    second = make_plan(1, 12, 3, (4.0, 8.0))
    assert {v.video for v in first}.isdisjoint(v.video for v in second)
    assert [v.visual_class for v in first] != [v.visual_class for v in second]


def test_a_folder_that_no_world_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "holiday.mp4").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="no world's"):
        make_world(tmp_path, videos=3, seconds=(3.5, 4.0), jobs=1)
    assert (tmp_path / "media" / "holiday.mp4").read_bytes() == b"mine"


def test_the_default_plan_holds_its_share_of_everything() -> None:
    plan = make_plan(0, DEFAULT_VIDEOS, 3, (15.0, 60.0))
    assert len(plan) == DEFAULT_VIDEOS
    assert len([v for v in plan if v.url.startswith("inbox:")]) == 3
    assert Counter(v.planted for v in plan if v.planted) == PLANTS
    fitting = Counter(v.visual_class for v in plan if v.visual_class == v.audio_class and v.planted is None)
    assert set(fitting) == set(CLASSES)
    assert len(CLASSES) >= 10
    assert min(fitting.values()) >= 3
    assert {v.container for v in plan} == {"mp4", "webm", "mkv"}
    assert {v.channels for v in plan} == {1, 2}
    assert len({v.rate_hz for v in plan}) >= 4
    assert {len(v.shots_s) for v in plan} == {1, 2, 3}
    assert all(15 <= v.duration_s <= 60 for v in plan if v.planted not in ("too_short", "near_duplicate"))


def test_plants_grow_with_the_world() -> None:
    plan = make_plan(0, 10 * DEFAULT_VIDEOS, 3, (15.0, 60.0))
    assert Counter(v.planted for v in plan if v.planted) == {name: 10 * count for name, count in PLANTS.items()}


def test_every_plant_is_what_its_name_says(world: World) -> None:
    truth = {row["video"]: row for row in world.truth()}
    assert Counter(v.planted for v in world.videos if v.planted) == ONE_OF_EACH

    def path(kind: str) -> Path:
        return world.root / str(planted(world, kind).file)

    for kind in ("truncated", "text_as_mp4"):
        with pytest.raises(av.error.InvalidDataError):
            av.open(str(path(kind)))
    assert decoded(path("no_audio"))[1].size == 0
    too_short = decoded(path("too_short"))[0]
    assert 1 < len(too_short) / float(planted(world, "too_short").fps) < 3
    assert rms(decoded(path("silence"))[1]) < 1e-3
    still, sound = decoded(path("frozen"))
    assert np.abs(np.diff(still.astype(float), axis=0)).mean() < 0.2
    assert rms(sound) > 0.01
    for kind in ("mismatch", "voice_over", "music"):
        luma, sound = decoded(path(kind))
        assert np.abs(np.diff(luma.astype(float), axis=0)).mean() > 0.2
        assert rms(sound) > 0.01
    for video in world.videos:
        assert (video.visual_class != video.audio_class) == (video.planted == "mismatch")
        assert truth[video.video]["expected"] == video.expected
        assert (video.file is None) == (video.planted in ("gone", "refused", "redirect_private", "hang", "html"))
        assert video.file is None or (world.root / video.file).is_file()


def test_a_near_duplicate_shows_its_original_under_another_id(world: World) -> None:
    copy = planted(world, "near_duplicate")
    original = next(video for video in world.videos if video.video == copy.of)
    assert original.planted is None
    assert original.batch <= copy.batch
    assert copy.video != original.video
    assert copy.uploader != original.uploader
    first, second = (decoded(world.root / str(v.file))[0].astype(float) for v in (original, copy))
    first = [picture[:, ::-1] for picture in first] if copy.copied == "mirrored" else first
    cut = round((original.duration_s - copy.duration_s) * float(original.fps))
    assert cut > 0

    def coarse(luma: np.ndarray) -> np.ndarray:
        rows, columns = (np.linspace(0.1, 0.9, 12) * n for n in luma.shape)
        return luma[np.ix_(rows.astype(int), columns.astype(int))].ravel()

    alike = np.corrcoef(coarse(first[cut + 10]), coarse(second[10]))[0, 1]
    other = next(v for v in world.videos if v.planted is None and v.visual_class != copy.visual_class and v.file)
    unlike = np.corrcoef(coarse(decoded(world.root / str(other.file))[0][10].astype(float)), coarse(second[10]))[0, 1]
    assert alike > 0.6 > unlike


def test_streams_are_as_planned_and_picture_and_sound_end_together(world: World) -> None:
    seen = 0
    for video in world.videos:
        if video.file is None or video.planted in ("truncated", "text_as_mp4", "no_audio"):
            continue
        with av.open(str(world.root / video.file)) as container:
            picture, sound = container.streams.video[0], container.streams.audio[0]
            assert (picture.width, picture.height) == (video.width, video.height)
            assert abs(float(picture.average_rate) - float(video.fps)) < 0.1
            assert sound.channels == video.channels
            assert video.audio_codec == "libopus" or sound.rate == video.rate_hz
            shown = [float(f.pts * picture.time_base) for f in container.decode(video=0)]
        with av.open(str(world.root / video.file)) as container:
            heard = [(float(f.pts * f.time_base), f.samples / f.sample_rate) for f in container.decode(audio=0)]
        assert shown[0] == heard[0][0] == 0.0
        assert shown[-1] + 1 / float(video.fps) == pytest.approx(video.duration_s, abs=0.08)
        assert sum(heard[-1]) == pytest.approx(video.duration_s, abs=0.1)
        seen += 1
    assert seen > 15


def test_no_two_files_are_the_same(world: World) -> None:
    found = digests(world.root / "media")
    assert len(set(found.values())) == len(found) > 15


def eight_seconds(name: str) -> list[Video]:
    """Three plain videos of a class, shortened to one shot of 8 s."""
    plan = make_plan(3, DEFAULT_VIDEOS, 3, (15.0, 60.0))
    plain = [v for v in plan if v.audio_class == name and v.planted is None][:3]
    form = {"duration_s": 8.0, "shots_s": (8.0,), "width": 256, "height": 144, "rate_hz": 16000, "channels": 1}
    return [replace(video, **form) for video in plain]


@pytest.mark.parametrize("name", ["bell", "drum", "bird", "harp", "clockwork"])
def test_what_strikes_is_heard_when_it_strikes(name: str) -> None:
    for video in eight_seconds(name):
        timeline = make_timeline(name, 8.0, video.rng(1))
        sound = soundtrack(video, timeline)[0].astype(float)
        attacks = []
        for at_s in timeline.heard_s[timeline.heard]:
            at = int(at_s * 16000)
            attacks.append((rms(np.diff(sound[at : at + 800])), rms(np.diff(sound[max(0, at - 800) : at])) + 1e-9))
        after, before = np.array(attacks).T
        assert np.median(after / before) > 1.2


@pytest.mark.parametrize("name", ["bell", "drum", "bird", "harp", "siren", "clockwork"])
def test_what_strikes_is_seen_when_it_strikes_and_not_at_other_times(name: str) -> None:
    own, other = [], []
    for video in eight_seconds(name):
        timeline = make_timeline(name, 8.0, video.rng(1))
        luma = np.stack([buffer[:144].astype(float) for buffer in frames(video, timeline)])
        change = np.log(np.abs(np.diff(luma, axis=0)).mean(axis=(1, 2)))
        assert np.isfinite(change).all()
        for found, strikes in ((own, timeline), (other, make_timeline(name, 8.0, video.rng(77)))):
            moment = strikes.visible(np.arange(1, len(luma)) / float(video.fps))
            near = np.exp(-moment.since_s / 0.1) + np.exp(-moment.until_s / 0.1)
            found.append(np.corrcoef(change, near)[0, 1])
    assert np.mean(own) > np.mean(other) + 0.05


@pytest.mark.parametrize("name", ["wind", "engine", "waterfall"])
def test_what_flows_is_louder_when_it_moves_more(name: str) -> None:
    video = replace(eight_seconds(name)[0], duration_s=12.0, shots_s=(12.0,))
    timeline = make_timeline(name, 12.0, video.rng(1))
    sound = soundtrack(video, timeline)[0]
    loud = [rms(block) for block in np.array_split(sound, 48)]
    level = timeline.level_at((np.arange(48) + 0.5) / 4)
    assert np.corrcoef(loud, level)[0, 1] > 0.6


def test_the_lists_name_every_video_once_and_carry_foreign_columns(world: World) -> None:
    bad = {(row["batch"], row["list_path"], row["list_row"]): row["kind"] for row in world.truth_rows()}
    asked: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for path in sorted(world.inbox.glob("*/*.*")):
        rows: list[dict] = []
        if path.suffix == ".csv":
            rows = [{k: v or None for k, v in row.items()} for row in csv.DictReader(path.open(encoding="utf-8"))]
        elif path.suffix == ".jsonl":
            rows = [json.loads(line) if line.endswith("}") else {} for line in path.read_text().splitlines()]
        elif path.suffix == ".parquet":
            rows = pq.read_table(path).to_pylist()
        assert set().union(*rows) - {"id", "url", "start", "end", "title", "description", "uploader", "license"}
        for number, row in enumerate(rows):
            kind = bad.pop((path.parent.name, path.name, number), None)
            if kind == "missing_url":
                assert not row.get("url")
            elif kind == "bad_time":
                assert float(row["end"]) < float(row["start"])
            elif kind == "duplicate_row":
                assert row in rows[:number]
            elif kind is None:
                asked[row["url"]] += 1
            kinds[kind or "good"] += 1
    assert not bad
    assert {"missing_url", "bad_time", "bad_url", "bad_row", "duplicate_row", "outside_media"} <= set(kinds)
    folders = {f"inbox:{path.relative_to(world.inbox)}" for path in world.inbox.glob("*/*/*")}
    assert len(folders) == 1
    wanted = {v.url: max(1, len(v.segments)) for v in world.videos if v.url not in folders}
    assert asked == wanted
    assert all(0 <= a < b <= v.duration_s for v in world.videos for a, b in v.segments)


def test_one_uploader_has_several_videos() -> None:
    plan = make_plan(0, DEFAULT_VIDEOS, 3, (15.0, 60.0))
    counts = Counter(v.uploader for v in plan if v.uploader)
    shared = {v.uploader for v in plan if v.planted == "same_uploader"}
    assert shared
    assert all(counts[name] >= 2 for name in shared)
    assert all(count == 1 for name, count in counts.items() if name not in shared)


def test_a_soundtrack_is_the_sum_of_its_parts() -> None:
    """Up to one gain: the mean of its channels is the event's own sound and, where there is one, what covers it."""
    plan = make_plan(3, 30, 3, (3.5, 4.5), {"voice_over": 4, "music": 4})
    found = set()
    for video in plan:
        timeline = make_timeline(video.audio_class, video.duration_s, video.rng(1))
        own, cover = parts(video, timeline)
        assert (cover is None) == (video.planted not in ("voice_over", "music"))
        if cover is not None:
            assert 9 < 20 * np.log10(rms(cover) / rms(own)) < 23
        whole = own if cover is None else own + cover
        heard = soundtrack(video, timeline).mean(axis=0)
        gain = float(heard @ whole) / float(whole @ whole)
        assert np.abs(heard - gain * whole).max() < 1e-5
        found.add((video.planted, video.channels))
    assert {("voice_over", 2), ("music", 2), (None, 1)} <= found
