"""What all tests share: how they are spread over processes, and fresh settings. What a test needs is in needs.py."""

from __future__ import annotations

import gc
from pathlib import Path

from winnow.core import cpu

cpu.pin()  # before a test's imports load what computes; processes that tests start inherit it
gc.set_threshold(200_000, 20, 100)  # what Great Expectations, dbt and Airflow import is looked through less often

import pytest  # noqa: E402
from xdist.scheduler import LoadScopeScheduling  # noqa: E402
from xdist.workermanage import WorkerController  # noqa: E402

import tests.parsed as parsed  # noqa: E402
import winnow.media.ffmpeg  # noqa: E402, F401  tests that use `av` by itself make the same bytes
from winnow.core import settings  # noqa: E402

TOGETHER = frozenset({"browser", "dags", "dbt", "journey"})
#: Files of other folders that use what a folder's tests make and import: `synthetic.published()`, Great Expectations.
GUESTS = {
    "tests/unit/report/test_report.py": "browser",
    "tests/unit/report/test_bucket.py": "browser",
    "tests/unit/gates/test_gates.py": "browser",
    "tests/unit/gates/test_planted.py": "browser",
    "tests/unit/gates/test_quarantine.py": "browser",
}

#: Files of such folders that share nothing costly with the others: a third process waits for their Airflow or cluster
#: while two compute.
ALONE = frozenset(f"tests/dags/test_{name}.py" for name in ("scheduler", "trigger", "plugins", "demo"))
#: What takes longest, longest first: a file, or a folder of those; the rest follows in the order of collection.
FIRST = ("tests/dags/test_scheduler.py", "dbt", "journey", "browser")
RANK = {scope: rank for rank, scope in enumerate(FIRST)}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """How `make test` shares tests between processes (pytest-xdist's own groups do nothing under pytest 9.2)."""
    return Rooms(config, log)


class Rooms(LoadScopeScheduling):
    """A file's tests stay together, and where costly fixtures serve a folder (built warehouses, a journey), the
    folder's. What takes longest starts first (`FIRST`), so that what is short fills the gaps at the end."""

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.split("::")[0])
        if path.as_posix() in GUESTS:
            return GUESTS[path.as_posix()]
        together = path.parent.name in TOGETHER and path.as_posix() not in ALONE
        return path.parent.name if together else str(path)

    def _assign_work_unit(self, node: WorkerController) -> None:
        scopes = list(self.workqueue)
        self.workqueue.move_to_end(min(scopes, key=lambda scope: RANK.get(scope, len(RANK))), last=False)
        super()._assign_work_unit(node)


def pytest_configure(config: pytest.Config) -> None:
    """What dbt parsed is kept for the run."""
    parsed.keep()


def pytest_unconfigure(config: pytest.Config) -> None:
    """And no longer."""
    if not hasattr(config, "workerinput"):
        parsed.remove()


@pytest.fixture(autouse=True)
def _fresh_settings() -> None:
    """Settings are read once a process; every test reads its own environment."""
    settings.load.cache_clear()
