"""`winnow releases`: what differs between two adds up by reason, and one is put in use by compare-and-swap."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit import exported
from tests.unit.exported import COUNT, RELEASE, clip_id, is_kept, row
from winnow.cli.main import cli
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.pointer import Pointer, StaleWriter
from winnow.release import history, publish

LATER = "fedcba987654"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two releases: of the later one a clip is dropped, a dropped one is kept, one is new, one gone, two changed, one
    dropped for another reason."""
    lake = exported.build(tmp_path / "lake")
    rows = {place: row(place) for place in range(COUNT + 1) if place != 4}
    rows[0] |= {"status": "dropped", "first_failed_rule": "low_correspondence", "split": None}
    rows[3] |= {"status": "kept", "first_failed_rule": None, "split": "train"}
    rows[5] |= {"z": -1.0}
    rows[6] |= {"split": "test", "z": None}
    rows[7] |= {"first_failed_rule": "frozen"}
    folder = exported.publish(lake, LATER, list(rows.values()))
    exported.seal(folder, published_at="2026-11-30T00:00:00+00:00", before=RELEASE)
    return lake


def test_what_differs_adds_up_by_reason(lake: Lake) -> None:
    found = history.compared(lake, RELEASE[:4], LATER, rows=True)
    assert found["in"] == {"clips": 2, "by_reason": {"silent": 1, "absent": 1}}
    assert found["out"] == {"clips": 2, "by_reason": {"low_correspondence": 1, "absent": 1}}
    assert found["changed"] == {"clips": 2, "by_column": {"z": 2, "split": 1}}
    assert found["dropped_otherwise"] == 1
    assert found["kept"] == {"first": 15, "second": 15, "same": 11}
    assert {(one["change"], one["sample_id"]) for one in found["rows"]} == {
        ("out", clip_id(0)),
        ("out", clip_id(4)),
        ("in", clip_id(3)),
        ("in", clip_id(20)),
        ("changed", clip_id(5)),
        ("changed", clip_id(6)),
    }
    back = history.compared(lake, LATER, RELEASE)
    assert (back["in"]["clips"], back["out"]["by_reason"]) == (2, {"silent": 1, "absent": 1})
    same = history.compared(lake, RELEASE, RELEASE)
    assert (same["in"]["clips"], same["out"]["clips"], same["changed"]["clips"], same["kept"]["same"]) == (0, 0, 0, 15)


def test_a_release_is_put_in_use_with_a_reason_and_back(lake: Lake) -> None:
    assert history.use(lake, LATER, "for the paper")["before"] == RELEASE
    assert publish.current(lake) == LATER
    assert history.use(lake, LATER, "again")["already"]
    history.use(lake, RELEASE[:3], " rolled back ")
    assert publish.current(lake) == RELEASE
    said = history.chosen(lake)
    assert [(one["release"], one["before"], one["why"]) for one in said] == [
        (LATER, RELEASE, "for the paper"),
        (RELEASE, LATER, "rolled back"),
    ]
    assert history.shown(lake, LATER)["chosen"] == said
    with pytest.raises(ConfigError, match="--why TEXT"):
        history.use(lake, LATER, " ")
    with pytest.raises(ConfigError, match="names no release"):
        history.use(lake, "abc", "why")
    Path(lake.full(f"releases/{LATER}/tables/fct_clips.parquet")).unlink()
    with pytest.raises(ContractError, match="is damaged"):
        history.use(lake, LATER, "why")
    assert publish.current(lake) == RELEASE


@pytest.mark.fault("a late writer", "releases use", "refused; the newer one stands, and nothing is noted")
def test_who_is_late_changes_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = publish.folder

    def meanwhile(*given):
        Pointer(lake, "releases/current").move(f"{LATER}\n".encode(), "")
        Pointer(lake, "releases/current").move(f"{RELEASE}\n".encode(), "")
        return whole(*given)

    monkeypatch.setattr(publish, "folder", meanwhile)
    with pytest.raises(StaleWriter, match=r"Run `winnow releases use fedc --why …` again"):
        history.use(lake, "fedc", "why")
    assert (publish.current(lake), history.chosen(lake)) == (RELEASE, [])


def test_the_commands(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_LAKE", lake.root)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(cli, ["releases", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    assert [line[:14] for line in run("list").splitlines()] == [f"* {RELEASE}", f"  {LATER}"]
    listed = json.loads(run("list", "--json"))["releases"]
    assert [(one["release"], one["kept"], one["in_use"]) for one in listed] == [(RELEASE, 15, True), (LATER, 15, False)]
    shown = json.loads(run("show", LATER))
    assert (shown["before"], sum(shown["splits"].values())) == (RELEASE, sum(map(is_kept, range(COUNT))))
    assert "out: 2" in (told := run("diff", RELEASE, LATER, "--rows"))
    assert f"out {clip_id(0)} low_correspondence" in told
    assert json.loads(run("diff", RELEASE, LATER, "--json"))["in"]["clips"] == 2
    assert json.loads(run("use", LATER, "--why", "newer"))["release"] == LATER
