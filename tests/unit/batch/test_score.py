"""`winnow score`: what runs, in which order; each step has tests of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow.batch import score as module
from winnow.batch.curate import stages_after
from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.core.settings import Settings

GOOD = {"is_trusted": True, "auc": 0.7, "auc_low": 0.6, "auc_high": 0.8, "clips": 9}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What was asked for, instead of its being done."""
    calls: list[tuple] = []

    def note(name: str, answer: dict):
        return lambda *given, **_: (
            calls.append((name, *[one for one in given if isinstance(one, (str, list))])) or answer
        )

    monkeypatch.setattr(module, "run_stage", note("run", {}))
    monkeypatch.setattr("winnow.batch.decide.decide_separate", note("flag", {}))
    monkeypatch.setattr("winnow.fitting.fit_ridge.fit", note("fit", {"model": "new", "quality": GOOD}))
    monkeypatch.setattr("winnow.fitting.calibrate.calibrate", note("calibrate", {}))
    monkeypatch.setattr("winnow.gates.gate_batch", note("gate", {}))
    return calls


def test_all_is_encoded_and_what_is_flagged_separated_before_anything_is_fitted(ran: list, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.set_model_current("correspond", "a" * 12, None)
    answer = module.score(["b", "a"], Settings(), lake)
    first = [("run", "efficientnet"), ("run", "yamnet"), ("flag",), ("run", "separate"), ("run", "rescore")]
    order = [
        (name, *[g for g in given if g in ("efficientnet", "yamnet", "separate", "rescore", "ridge")])
        for name, *given in ran
    ]
    assert order == [*first, *first, ("fit",), ("run", "ridge"), ("run", "ridge"), ("calibrate",), ("gate",)]
    assert answer["fit"]["model"] == "new"
    assert ran[-2] == ("calibrate", ["a", "b"], ["ridge"])
    assert list(module.RECYCLED) == stages_after("flag")


def test_a_map_that_is_fitted_stays_unless_another_is_asked_for(ran: list, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.set_model_current("ridge", "b" * 12, None)
    assert module.score(["a"], Settings(), lake)["fit"] == {"model": "b" * 12, "computed": False}
    assert ("fit", ["a"]) not in ran
    assert ("run", "rescore", "a") not in ran, "no scorer is fitted that could"
    module.score(["a"], Settings(), lake, refit=True)
    assert ("fit", ["a"]) in ran
    with pytest.raises(ContractError, match="no batch was named"):
        module.score([], Settings(), lake)


def test_a_map_near_chance_is_said_to_be_so(ran: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("winnow.fitting.fit_ridge.fit", lambda *a, **k: {"quality": {**GOOD, "is_trusted": False}})
    said: list[str] = []
    module.score(["a"], Settings(), Lake(tmp_path), say=said.append)
    assert "cannot be trusted: AUC 0.7 (0.6 to 0.8)" in said[0]
