"""Where a batch stands, before there is any release: from the README's walkthrough on, tests/journey asks it too."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tests.unit.batch.lists import DAY, URL, ingested
from winnow.batch import status as module
from winnow.batch.advice import advice
from winnow.batch.draft import open_batch
from winnow.cli.main import cli
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.sample import Reason
from winnow.core.settings import Settings


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Lake, Settings]:
    ingested(tmp_path, {"a.csv": f"url,start,end\n{URL},3,8\n{URL},soon,8\n{URL},3,8\n"})
    (tmp_path / "inbox/2026-11-02").mkdir()
    monkeypatch.setenv("WINNOW_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("WINNOW_INBOX", str(tmp_path / "inbox"))
    return Lake(tmp_path / "lake"), Settings()


def test_a_batch_under_way_says_what_is_done_what_failed_and_what_comes_next(deployment) -> None:
    found = module.status(*deployment, DAY)
    steps = {step["name"]: step for step in found["steps"]}
    assert (steps["ingest"]["ok"], steps["ingest"]["reasons"]) == (1, {"bad_time": 1, "duplicate_row": 1})
    assert (steps["screen"]["shards"], steps["screen"]["done"], steps["screen"]["waits_for"]) == (1, 0, "")
    assert steps["plan"]["waits_for"] == "decide"
    assert steps["probe"]["waits_for"] == "clip"
    (failed,) = found["failed"]
    assert failed["name"] == f"a.csv, row 1, {URL}"
    assert "h:mm:ss" in failed["do"]
    assert found["state"] == "not whole: screen has 0 of 1 shards"
    assert (found["next"], found["seq"], found["release"]) == (f"winnow curate --batch {DAY}", None, None)


def test_all_batches_those_that_only_lie_in_the_inbox_too(deployment) -> None:
    found = module.overview(*deployment)
    assert [(one["batch"], one["state"], one["rows"], one["failed"]) for one in found["batches"]] == [
        (DAY, "not whole: screen has 0 of 1 shards", 3, 2),
        ("2026-11-02", "not ingested", 0, 0),
    ]
    assert found["release"] is None


def test_a_key_that_is_not_there_is_answered_with_the_places_and_the_nearest(deployment) -> None:
    with pytest.raises(ConfigError, match=rf"no batch 2026-11-10: .*inbox/2026-11-10; there are .*{DAY}"):
        module.status(*deployment, "2026-11-10")


def test_people_get_lines_and_programs_an_object(deployment, capsys: pytest.CaptureFixture) -> None:
    cli.main(["status", "--batch", DAY, "--failed", "0"], standalone_mode=False)
    told = capsys.readouterr().out
    assert "waits for clip" in told
    assert "and 1 more" in told
    assert told.endswith(f"next: winnow curate --batch {DAY}\n")
    cli.main(["status", "--batch", DAY, "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["batch"] == DAY
    cli.main(["status"], standalone_mode=False)
    assert "2026-11-02" in capsys.readouterr().out


def test_every_reason_has_its_advice() -> None:
    nothing = {reason for reason in Reason if not advice(reason.value, "day")}
    assert nothing == {
        Reason.duplicate_row,
        Reason.gone,
        Reason.no_video_stream,
        Reason.no_audio_stream,
        Reason.taken_down,
    }
    assert "--retry-reasons timeout" in advice("timeout", "day")
    assert advice("language_unknown", "day") == "", "a rule's name: nothing went wrong"


def test_questions_to_a_batch_read_its_tables_and_nothing_else(deployment, capsys: pytest.CaptureFixture) -> None:
    lake, _ = deployment
    with open_batch(lake, DAY) as con:
        assert con.sql("select reason, count(*) from ingest group by all order by all").fetchall() == [
            ("bad_time", 1),
            ("duplicate_row", 1),
            (None, 1),
        ]
        assert con.sql("select count(*) from probe").fetchall() == [(0,)]
        for question in ("from read_csv('/etc/passwd')", "set enable_external_access = true", "attach 'other.duckdb'"):
            with pytest.raises(duckdb.Error):
                con.sql(question).fetchall()
    cli.main(["sql", "--batch", DAY, "--format", "csv", "select count(*) as n from ingest"], standalone_mode=False)
    assert capsys.readouterr().out == "n\n3\n"
    with pytest.raises(ConfigError, match=r"tables: .*probe"):
        cli.main(["sql", "--batch", DAY, "select 1 from nonesuch"], standalone_mode=False)
    with pytest.raises(ConfigError, match="one of them"):
        cli.main(["sql", "--batch", DAY, "--release", "a", "select 1"], standalone_mode=False)
    with pytest.raises(ContractError, match="never ingested"):
        cli.main(["sql", "--batch", "2026-11-02", "select 1"], standalone_mode=False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "clip", "--help"], ["window_s", "> 0, <= 600", "10.0 by default", '"fixed" by default', "libx264"]),
        (["run", "--help"], ["Stages:", "clip", "correspond"]),
    ],
)
def test_a_stages_help_lists_its_parameters(arguments, told, capsys: pytest.CaptureFixture) -> None:
    cli.main(arguments, standalone_mode=False)
    said = capsys.readouterr().out
    assert not [part for part in told if part not in said], said
