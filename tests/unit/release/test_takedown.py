"""`winnow takedown`: recorded once, releases that hold it are named, and fetch asks nobody for it again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit import exported
from tests.unit.exported import COUNT, RELEASE, clip_id, row
from tests.unit.fetched import Fetcher, odd_server
from winnow.cli.main import cli
from winnow.core import corpus_table
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake, sha256_bytes
from winnow.core.sample import Reason, sid
from winnow.release.takedown import takedown, taken

LATER = "fedcba987654"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two releases; the later one no longer keeps the first clip. Clips 0 and 1 are of one video, of one file."""
    lake = exported.build(tmp_path / "lake")
    rows = {place: row(place) for place in range(COUNT)}
    rows[0] |= {"status": "dropped", "first_failed_rule": "silent"}
    rows[2] |= {"source_sha256": "f" * 64}
    exported.publish(lake, LATER, list(rows.values()))
    return lake


def test_what_is_taken_down_is_recorded_once_and_its_releases_are_named(lake: Lake) -> None:
    done = takedown(lake, "id", [f" {clip_id(0)} ", "", "nobody", clip_id(0)], " asked by its owner ")
    assert (done["names"], done["recorded"], done["unmatched"]) == (2, 2, ["nobody"])
    assert done["releases"] == {RELEASE: 1}
    (one, other) = taken(lake)
    assert {(one["kind"], one["value"], one["why"]), (other["kind"], other["value"], other["why"])} == {
        ("id", clip_id(0), "asked by its owner"),
        ("id", "nobody", "asked by its owner"),
    }
    assert takedown(lake, "id", [clip_id(0)], "again")["recorded"] == 0
    assert len(corpus_table.files(lake, "takedown")) == 1
    assert takedown(lake, "source", ["https://videos.example/2"], "asked")["recorded"] == 2, "its file too"
    assert takedown(lake, "uploader", ["SomeBody "], "asked")["releases"] == {RELEASE: 15, LATER: 14}
    assert ("file", "f" * 64) in {(said["kind"], said["value"]) for said in taken(lake)}
    for kind, names, why, message in (
        ("id", [" "], "why", "there are no ids"),
        ("id", ["a"], " ", "--why TEXT"),
        ("hue", ["a"], "why", "by hue"),
    ):
        with pytest.raises(ConfigError, match=message):
            takedown(lake, kind, names, why)


def test_the_command(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_LAKE", lake.root)
    (tmp_path / "ids.txt").write_text(f"{clip_id(4)}\n{sid('video', 3)}\n")
    done = CliRunner().invoke(cli, ["takedown", "--ids", str(tmp_path / "ids.txt"), "--why", "asked"])
    (found,) = json.loads(done.stdout)["taken_down"]
    assert found["releases"] == {RELEASE: 2, LATER: 2}
    assert found["files"] == {RELEASE: 3, LATER: 3}, "of one that was dropped too"
    listed = json.loads(CliRunner().invoke(cli, ["releases", "list", "--json"]).stdout)["releases"]
    assert {row["release"]: row["taken_down"] for row in listed} == {RELEASE: 2, LATER: 2}
    told = CliRunner().invoke(cli, ["export", "clips", "--to", str(tmp_path / "out"), "--media", "none"])
    assert f"2 clips of release {RELEASE} were taken down after it was published" in told.stderr
    assert json.loads(told.stdout)["taken_down"] == 2
    assert len(json.loads(CliRunner().invoke(cli, ["takedown"]).stdout)["taken_down"]) == 2


def test_a_source_that_was_taken_down_is_never_asked_for(tmp_path: Path) -> None:
    with odd_server() as (odd, rewrites):
        clip = b"\0\0\0\x18ftypmp42" + bytes(64)
        odd.answers = {f"/{name}.mp4": lambda one: one.say(200, clip, Content_Type="video/mp4") for name in "abcd"}
        lake = Lake(tmp_path / "lake")
        takedown(lake, "source", ["http://odd.test/a.mp4"], "asked")
        takedown(lake, "uploader", ["Ann"], "asked too")
        fetch = Fetcher(tmp_path, rewrites)
        (gone,) = fetch("http://odd.test/a.mp4")
        assert (gone.reason, gone.detail) == (Reason.taken_down, "by its source: asked")
        (hers,) = fetch("http://odd.test/b.mp4", uploader=" ANN")
        assert (hers.reason, hers.detail) == (Reason.taken_down, "by its uploader: asked too")
        assert odd.starts == []
        (other,) = fetch("http://odd.test/c.mp4", uploader="Bob")
        assert other.reason is None, other.detail
        row = {"kind": "file", "value": sha256_bytes(clip), "why": "the same bytes", "created_at": ""}
        corpus_table.add(lake, "takedown", [row], provenance={})
        (same,) = Fetcher(tmp_path, rewrites)("http://odd.test/d.mp4")
        assert (same.reason, same.detail) == (Reason.taken_down, "by its file: the same bytes")
