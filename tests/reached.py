"""Which lines of winnow the unit tests reach: a plugin of pytest, `-p tests.reached`.

Every line that a traced test runs costs time, and nearly all lines that Airflow's, dbt's and the journey's tests run
are a library's. So only `tests/unit` is traced, with the imports before it; `make test COVERAGE=1` traces everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from coverage import Coverage

FOLDER = Path(__file__).resolve().parents[1] / "build" / "tests"
#: Started as this module is loaded, before the first one of winnow is: a `def` that nobody saw would count as missed.
TRACED = Coverage(data_file=FOLDER / ".coverage", data_suffix=f"{os.getpid()}", source_pkgs=["winnow"], messages=False)
TRACED.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Trace the unit tests, and no others."""
    if "unit" in Path(item.nodeid.split("::")[0]).parts:
        return (yield)
    TRACED.stop()
    try:
        return (yield)
    finally:
        TRACED.start()


def pytest_sessionfinish() -> None:
    """Every process keeps what it saw."""
    TRACED.stop()
    FOLDER.mkdir(parents=True, exist_ok=True)
    TRACED.save()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """All of them together, file by file."""
    both, said = Coverage(data_file=FOLDER / ".coverage"), StringIO()
    both.combine([str(FOLDER)])
    both.report(file=said, skip_covered=True)
    (FOLDER / ".coverage").unlink()
    terminalreporter.section("lines of winnow that the unit tests reach")
    terminalreporter.write_line(said.getvalue())
