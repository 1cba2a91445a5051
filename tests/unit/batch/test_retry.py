"""Rows that failed for a named reason are tried again by name, with the parameters that they were measured with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.helpers import NEEDS, Count, cut, read, runtime
from winnow.batch import retry as module
from winnow.batch.retry import retry
from winnow.cli.main import cli
from winnow.core import runtime as runtime_module
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.settings import Settings

STAGES = {"count": Count}


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    for where in (module, runtime_module):
        monkeypatch.setattr(where, "stage_class", STAGES.__getitem__)
        monkeypatch.setattr(where, "stage_needs", lambda: {name: NEEDS[name] for name in STAGES})
        monkeypatch.setattr(where, "stage_optional_needs", dict)
    monkeypatch.setattr(Count, "calls", [])
    monkeypatch.setattr(Count, "cured", set())
    lake = Lake(tmp_path / "lake")
    texts = {"a": "!internal_error", "b": "fine", "c": "!gone", "d": "!internal_error", "e": "!timeout"}
    cut(lake, "words", "day", [[(k, texts[k]) for k in "abc"], [("d", texts["d"])], [("e", texts["e"])]])
    runtime(lake, Count, extra=7).run()
    Count.calls.clear()
    return lake


def test_rows_of_a_reason_are_tried_again_and_no_others(lake: Lake) -> None:
    Count.cured = {"a", "c", "e"}
    assert retry(lake, Settings(), "day", ["internal_error"]) == {
        "batch": "day",
        "reasons": ["internal_error"],
        "tried": 2,
        "ok": 1,
        "stages": {"count": {"tried": 2, "ok": 1}},
        "next": "winnow curate --batch day",
    }
    assert Count.calls == ["a", "d"]
    _, rows = read(lake, runtime(lake, Count, extra=7))
    assert {r["sample_id"]: r["chars"] for r in rows} == {"a": 22, "b": 11, "c": None}, "with its parameters"
    assert retry(lake, Settings(), "day", ["gone"], "count")["ok"] == 1, "whatever the reason, by its name"


def test_what_cannot_be_tried_is_said(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = retry(lake, Settings(), "day", ["not_media"])
    assert (nothing["tried"], nothing["next"]) == (0, None)
    assert nothing["failed"] == {"gone": 1, "internal_error": 2, "timeout": 1}
    for reasons, told in {(): "name a reason", ("lost",): "no reason lost", ("no_input",): "wait for another"}.items():
        with pytest.raises(ConfigError, match=told):
            retry(lake, Settings(), "day", list(reasons))
    real = runtime_module.identity
    monkeypatch.setattr(runtime_module, "identity", lambda stage: {**real(stage), "code": "other"})
    with pytest.raises(ContractError, match=r"another version.*`winnow run count --batch day` computes all"):
        retry(lake, Settings(), "day", ["gone"])
    assert Count.calls == []


class Here:
    """Runs stages in this process."""

    run_stage = staticmethod(runtime_module.run_stage)

    def __init__(self, settings: Settings) -> None: ...

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_the_command_says_how_many(lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("WINNOW_LAKE", lake.root)
    monkeypatch.setattr("winnow.core.child.Keeper", Here)
    Count.cured = {"e"}
    cli.main(["retry", "--batch", "day", "--reason", "timeout,not_media", "--stage", "count"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["stages"] == {"count": {"tried": 1, "ok": 1}}
