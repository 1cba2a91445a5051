"""How `make test` spreads tests over processes: what the lists name is there, and the longest starts first."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import ALONE, FIRST, GUESTS, TOGETHER, Rooms

ROOT = Path(__file__).resolve().parents[2]


class Process(SimpleNamespace):
    """A worker that only notes which tests it was given."""

    __hash__ = object.__hash__

    def send_runtest_some(self, indices: list[int]) -> None:
        self.given += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def test_what_is_listed_is_there() -> None:
    """A file that moved would lose its place, and nobody would see why `make test` takes longer."""
    files = [*ALONE, *GUESTS, *(name for name in FIRST if "/" in name)]
    assert [name for name in files if not (ROOT / name).is_file()] == []
    assert set(GUESTS.values()) | {name for name in FIRST if "/" not in name} <= TOGETHER
    assert [name for name in TOGETHER if not (ROOT / "tests" / name).is_dir()] == []


def test_the_longest_starts_first_and_a_folders_files_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xdist.scheduler.loadscope.parse_tx_spec_config", lambda _: [1, 2, 3])
    tests = [
        f"tests/{name}.py::test_{number}"
        for name in (
            "browser/test_a",
            "contracts/test_b",
            "dags/test_c",
            "dags/test_scheduler",
            "dbt/test_d",
            "journey/test_e",
            "unit/x/test_f",
            "unit/report/test_report",
        )
        for number in range(3)
    ]
    rooms = Rooms(SimpleNamespace(option=SimpleNamespace(loadscopereorder=False)))
    processes = [
        Process(gateway=SimpleNamespace(id=f"gw{number}"), given=[], shutting_down=False) for number in range(3)
    ]
    for process in processes:
        rooms.add_node(process)
        rooms.add_node_collection(process, tests)
    rooms.schedule()
    given = [[tests[index] for index in process.given] for process in processes]
    assert [{name.split("/test_")[0] for name in names} for names in given] == [
        {"tests/dags"},
        {"tests/dbt"},
        {"tests/journey"},
    ]
    assert all("scheduler" in name for name in given[0])
    for index in list(processes[0].given):
        rooms.mark_test_complete(processes[0], index)
    later = [tests[index].split("::")[0] for index in processes[0].given[3:]]
    assert later == ["tests/browser/test_a.py"] * 3 + ["tests/unit/report/test_report.py"] * 3
