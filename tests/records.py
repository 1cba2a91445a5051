"""What `make test` leaves behind in the ignored folder `build/tests/`: how long each test took, and which were skipped
for want of the packages of `make models`. A plugin of pytest: `-p tests.records`.

`.ci/run` keeps the durations, and runs what was skipped once those packages are there: pytest reads ids from a file
that is named `@build/tests/skipped-models.txt`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "build" / "tests"
#: How needs.py names what `make models` brings.
MODELS = "run `make models`"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write both files, and say where."""
    reports = [one for found in terminalreporter.stats.values() for one in found if isinstance(one, pytest.TestReport)]
    write(FOLDER, reports)
    terminalreporter.write_line(f"durations of {len({one.nodeid for one in reports})} tests: {FOLDER}/durations.json")


def write(folder: Path, reports: list[pytest.TestReport]) -> None:
    """`durations.json`: {"tests": {id: seconds}, "files": {path: seconds}}, setup and teardown included, slowest first;
    `skipped-models.txt`: ids of the tests that wait for `make models`, one a line."""
    tests: dict[str, float] = defaultdict(float)
    for report in reports:
        tests[report.nodeid] += report.duration
    files: dict[str, float] = defaultdict(float)
    for nodeid, seconds in tests.items():
        files[nodeid.split("::")[0]] += seconds
    folder.mkdir(parents=True, exist_ok=True)
    slowest = {name: _slowest_first(of) for name, of in (("files", files), ("tests", tests))}
    (folder / "durations.json").write_text(json.dumps(slowest, indent=1) + "\n", encoding="utf-8")
    waiting = sorted(one.nodeid for one in reports if one.skipped and MODELS in _reason(one))
    (folder / "skipped-models.txt").write_text("".join(f"{nodeid}\n" for nodeid in waiting), encoding="utf-8")


def _slowest_first(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(seconds[name], 2) for name in sorted(seconds, key=lambda name: (-seconds[name], name))}


def _reason(report: pytest.TestReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
