"""Every step that writes, with a clock that is a year ahead or five years back since the step before, leaves what it
leaves under a right one: no law of a lake asks what time it is."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from tests.unit import killed
from tests.unit.clock import YEAR_S, set_clock
from tests.unit.killed import Step
from tests.unit.test_killed import STEPS
from winnow.core.lake import Lake

AHEAD_S, BACK_S = YEAR_S, -5 * YEAR_S


def at(by_s: float, step: Step) -> Step:
    """The same step, under a clock that is set by so much."""

    def under_it(root: Path) -> object:
        set_clock(by_s)
        return step(root)

    return under_it


@pytest.mark.fault(
    "a clock set ahead and back",
    "ingest, stages, retry, gate, quarantine, cluster, select, mix, publish, export, annotate",
    "they leave what they leave under a right clock, byte for byte",
)
@pytest.mark.parametrize("name", STEPS)
def test_a_step_leaves_the_same_whatever_the_clock_says(name: str, tmp_path: Path) -> None:
    before, step = STEPS[name]
    start = tmp_path / "start"
    start.mkdir()
    before(start)
    right = shutil.copytree(start, tmp_path / "right", symlinks=True)
    step(right)
    wanted = killed.state(right)
    for by_s in (AHEAD_S, BACK_S):
        wrong = shutil.copytree(start, tmp_path / f"{by_s:g}", symlinks=True)
        assert killed.in_a_fork(at(by_s, step), wrong) == 0, "the step fails: something is older than it thinks"
        found = killed.state(wrong)
        assert sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k)) == []
        took = [json.loads(path.read_bytes())["seconds"] for path in wrong.rglob("v=*/batch=*/*.json")]
        assert all(0 <= seconds < AHEAD_S / 2 for seconds in took), "a duration is no difference of two clocks"


@pytest.mark.fault("a clock set ahead and back", "what other writers have half-written", "it stays while it is young")
def test_a_clock_that_is_ahead_sweeps_no_others_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path)
    young, old = tmp_path / "count" / ".a.json.1", tmp_path / "count" / ".b.json.2"
    young.parent.mkdir()
    for path in (young, old):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + AHEAD_S)
    lake.sweep("count")
    assert [path.name for path in young.parent.iterdir()] == [young.name]
