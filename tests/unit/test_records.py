"""What a run of all tests leaves behind, of reports that are given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import needs, records


def report(nodeid: str, seconds: float, when: str = "call", skipped: str = "") -> pytest.TestReport:
    outcome, why = ("skipped", ("a.py", 1, f"Skipped: {skipped}")) if skipped else ("passed", None)
    return pytest.TestReport(nodeid, ("a.py", 1, "a"), {}, outcome, why, when, duration=seconds)


def test_a_tests_seconds_are_those_of_all_its_phases_and_the_slowest_come_first(tmp_path: Path) -> None:
    given = [report("a.py::one", 1.0, "setup"), report("a.py::one", 2.5), report("b.py::two[x]", 3.0)]
    records.write(tmp_path, [*given, report("a.py::one", 0.25, "teardown"), report("a.py::none", 0.0)])
    written = json.loads((tmp_path / "durations.json").read_text())
    assert list(written["tests"].items()) == [("a.py::one", 3.75), ("b.py::two[x]", 3.0), ("a.py::none", 0.0)]
    assert list(written["files"].items()) == [("a.py", 3.75), ("b.py", 3.0)]


def test_only_what_waits_for_make_models_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("WINNOW_CI_WITHOUT", "models")
    with pytest.raises(pytest.skip.Exception) as said:
        needs.package("no_such_package")
    waits = [report(f"b.py::{name}", 0.0, "setup", str(said.value)) for name in ("two[a b]", "one")]
    other = report("c.py::three", 0.0, "setup", "there is no CUDA device")
    records.write(tmp_path, [*waits, other, report("a.py::passed", 1.0)])
    assert (tmp_path / "skipped-models.txt").read_text() == "b.py::one\nb.py::two[a b]\n"
