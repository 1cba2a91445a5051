"""The kinds' files have the property that their name says, and their lists the form; the comparison misses none."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from tests.world import World, make_world
from tests.world.kind_media import render_kind
from tests.world.kinds import CAPTIONS, FORMS, Kind
from winnow.demo import kinds as compared


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The kinds alone."""
    return make_world(tmp_path_factory.mktemp("kinds"), seed=5, videos=0, jobs=1, kinds=True)


def times(path: Path) -> list[float | None]:
    """Times of pictures as they stand in the file, in file order."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return [None if p.pts is None else float(p.pts * p.time_base) for p in container.demux(video) if p.size]


def picture(path: Path) -> av.VideoFrame:
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


def sound(path: Path) -> np.ndarray:
    """Samples (channels, samples) at full scale 1.0."""
    with av.open(str(path)) as container:
        made = av.AudioResampler(format="fltp")
        return np.concatenate([b.to_ndarray() for f in container.decode(audio=0) for b in made.resample(f)], axis=1)


def streams(path: Path) -> list[tuple[str, str | None, bool]]:
    """(codec, language, whether it is marked as a commentary) of each stream."""
    with av.open(str(path)) as container:
        comment = av.stream.Disposition.comment
        return [
            (s.codec_context.name, s.metadata.get("language"), bool(s.disposition & comment)) for s in container.streams
        ]


def falls(path: Path) -> bool:
    """Whether times fall back once by a second or more: a clock that starts again."""
    found = times(path)
    return len(found) == 100 and sum(b < a - 1 for a, b in pairwise(found)) == 1


def antiphase(path: Path) -> bool:
    wave = sound(path)
    return np.abs(wave.sum(axis=0)).max() < 0.2 * np.abs(wave[0]).max() > 0


IS: dict[str, Callable[[Path], bool]] = {
    "clock_restarts": falls,
    "clock_jumps": lambda path: 93 < max(np.diff(sorted(times(path)))) < 95,
    "no_picture_times": lambda path: times(path) in (sorted(times(path), key=lambda t: t or 0.0), [None] * 100),
    "equal_times": lambda path: len(set(times(path))) == 67 < len(times(path)) == 100,
    "half_zeros": lambda path: not any(path.read_bytes()[path.stat().st_size // 2 :]),
    "late_key_picture": lambda path: len(times(path)) == 90,
    "slides": lambda path: times(path) == [0.0, 3.0, 6.0, 9.0],
    "full_range": lambda path: picture(path).color_range == 2,
    "hdr": lambda path: (picture(path).color_trc, picture(path).color_primaries) == (16, 9),
    "interlaced": lambda path: picture(path).interlaced_frame,
    "turned": lambda path: picture(path).rotation % 360 == 270,
    "mirrored": lambda path: any(d.type.name == "DISPLAYMATRIX" for d in picture(path).side_data),
    "wide_pixels": lambda path: str(av.open(str(path)).streams.video[0].sample_aspect_ratio) == "64/45",
    "antiphase": antiphase,
    "surround": lambda path: sound(path).shape[0] == 6 and abs(np.abs(sound(path)).max() - 0.5) < 0.001,
    "commentary_first": lambda path: streams(path)[1:] == [("aac", "eng", True), ("aac", "deu", False)],
    "commentary_after": lambda path: streams(path)[1:] == [("aac", "deu", False), ("aac", "eng", True)],
    "cover_first": lambda path: [name for name, *_ in streams(path)] == ["mjpeg", "h264", "aac"],
    "hls": lambda path: path.read_text().count("#EXTINF:2.0") == 2 and "#EXT-X-ENDLIST" in path.read_text(),
}


def test_every_kind_is_planted_once_and_every_file_of_it_is_there(world: World) -> None:
    assert [kind.name for kind in world.kinds] == list(FORMS)
    assert {row["kind"] for row in compared_truth(world)} == set(FORMS)
    named = [name for kind in world.kinds for name in kind.files]
    assert sorted(named) == sorted(p.relative_to(world.root).as_posix() for p in (world.root / "media").iterdir())
    assert make_world(world.root, seed=5, videos=0, jobs=1, kinds=True).made == 0


def compared_truth(world: World) -> list[dict]:
    return [json.loads(line) for line in (world.root / compared.TRUTH).read_text().splitlines()]


@pytest.mark.parametrize("name", IS)
def test_a_kinds_file_is_what_its_name_says(world: World, name: str) -> None:
    assert IS[name](world.root / of(world, name).files[0])


@pytest.mark.parametrize("name", ["hls", "commentary_first", "surround"])
def test_a_kinds_bytes_depend_on_the_seed_alone(world: World, name: str, tmp_path: Path) -> None:
    kind = of(world, name)
    render_kind(kind, tmp_path)
    assert [(tmp_path / file).read_bytes() for file in kind.files] == [
        (world.root / file).read_bytes() for file in kind.files
    ]


def of(world: World, name: str) -> Kind:
    return next(kind for kind in world.kinds if kind.name == name)


def test_lists_are_as_their_datasets_publish_them(world: World) -> None:
    def text(name: str) -> str:
        kind = of(world, name)
        return (world.inbox / kind.video.key / kind.list_name).read_text()

    ids = {name: of(world, name).video.video for name in ("kinetics", "json_list", "clip_names", "captions")}
    assert all(len(video) == 11 for video in ids.values())
    (row,) = csv.DictReader(text("kinetics").splitlines())
    assert (row["youtube_id"], row["time_start"], row["time_end"]) == (ids["kinetics"], "0.5", "3.5")
    assert list(json.loads(text("json_list"))["videos"].values()) == [[ids["json_list"]]]
    assert f"\n{ids['clip_names']}_000001," in text("clip_names")
    rows = list(csv.DictReader(text("captions").splitlines()))
    assert [(r["youtube_id"], r["caption"]) for r in rows] == [(ids["captions"], caption) for caption in CAPTIONS]


# -- planted against found ---------------------------------------------------------------------------------------------
def answers(world: World, spoil: Callable[[dict], object] = lambda tables: None) -> Callable[[str], list[dict]]:
    """Tables in which everything is found, but for what `spoil` does to them."""
    tables: dict = {"fct_clips": {}, "fct_candidates": {}}
    for row in compared_truth(world):
        expected = row["expected"]
        values = {key: ok(value) for key, value in expected["clip"].items()}
        tables["fct_clips"][row["kind"]] = [
            {"url": row["url"], "start_s": start, "end_s": end, **values} for start, end in expected["windows"]
        ]
        candidate = {"url": row["url"], "reason": expected.get("reason"), "detail": None}
        tables["fct_candidates"][row["kind"]] = [{**candidate, "extra": json.dumps(expected.get("extra", {}))}]
    spoil(tables)
    return lambda sql: [
        row for name in tables if f"from {name}" in sql for rows in tables[name].values() for row in rows
    ]


def ok(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return [] if "not_first" in value else (value.get("above", value["below"] - 2) + value["below"]) / 2


def test_all_kinds_are_found_where_the_tables_say_what_is_right(world: World) -> None:
    found = compared.compare(world.root, answers(world))
    assert compared.lines(found) == [f"real-world kinds: found {len(FORMS)} of {len(FORMS)} planted"]


SPOILED: dict[str, tuple[Callable[[dict], object], str]] = {
    "clock_restarts": (lambda t: t["fct_clips"]["clock_restarts"][0].update(end_s=2.0), "clips 0–2 s, not 0–4 s"),
    "slides": (lambda t: t["fct_clips"]["slides"].pop(), "clips 0–10 s, not 0–10 s and 10–13 s"),
    "half_zeros": (
        lambda t: t["fct_candidates"]["half_zeros"][0].update(reason=None),
        "ends as None, not undecodable",
    ),
    "late_key_picture": (
        lambda t: (
            t["fct_clips"]["late_key_picture"].clear(),
            t["fct_candidates"]["late_key_picture"][0].update(reason="undecodable", detail="damaged"),
        ),
        "clips none, not 1–4 s (undecodable: damaged)",
    ),
    "interlaced": (lambda t: t["fct_clips"]["interlaced"][0].update(interlaced=None), "interlaced is null, not true"),
    "antiphase": (
        lambda t: t["fct_clips"]["antiphase"][0].update(tag_mids=["/m/028v0c"]),
        'tag_mids is ["/m/028v0c"], not {"not_first": "/m/028v0c"}',
    ),
    "surround": (
        lambda t: t["fct_clips"]["surround"][0].update(peak_dbfs=None),
        'peak_dbfs is null, not {"above": -7, "below": -5}',
    ),
    "captions": (
        lambda t: t["fct_candidates"]["captions"].append(t["fct_candidates"]["captions"][0] | {"extra": None}),
        "2 candidates, not 1; extra.caption is ",
    ),
    "kinetics": (
        lambda t: (t["fct_clips"]["kinetics"].clear(), t["fct_candidates"]["kinetics"].clear()),
        "clips none, not 0.5–3.5 s (no candidate has its address)",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_kind_that_is_not_found_is_named(world: World, name: str) -> None:
    spoil, told = SPOILED[name]
    first, *missed = compared.lines(compared.compare(world.root, answers(world, spoil)))
    assert first == f"real-world kinds: found {len(FORMS) - 1} of {len(FORMS)} planted"
    assert len(missed) == 1
    assert missed[0].startswith(f"  NOT FOUND {name} (")
    assert told in missed[0]


def test_a_world_without_kinds_says_nothing_of_them(tmp_path: Path) -> None:
    assert compared.compare(tmp_path, lambda sql: pytest.fail("nothing to ask")) == []
    assert compared.lines([]) == []
