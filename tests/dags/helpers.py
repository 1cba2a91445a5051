"""A real Airflow over the stub `winnow`, and what tests ask of it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from winnow.demo import processes
from winnow.demo.airflow_local import LocalAirflow
from winnow.demo.progress import OVER

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
USED = ("curate", "fit", "release", "mix", "select", "score")
#: Triggered by releases from the start, and switched on by the test that looks at it.
LATER = "benchmark"
EMPTY_DAY = "2026-11-04"


class StubAirflow:
    """One Airflow with its lake and inbox in a folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.lake = root, root / "lake"
        self.lake.mkdir()
        for day in DAYS:
            (root / "inbox" / day).mkdir(parents=True)
        stub = Path(__file__).with_name("stub_winnow.py")
        self.airflow = LocalAirflow(
            root / "airflow",
            {
                **processes.marked_environment(root),
                "WINNOW_LAKE": str(self.lake),
                "WINNOW_INBOX": str(root / "inbox"),
                "WINNOW_BENCHMARK_TASKS": "avel",
                "WINNOW_COMMAND": f"{sys.executable} {stub}",
                # Looking for work takes a seventh of a core where it is done twice a second, and other tests want both.
                "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1.5",
            },
            root / "airflow.log",
        )
        self.api = self.airflow.api

    def start(self) -> None:
        """Start, and switch the DAGs on."""
        self.airflow.start()
        self.airflow.wait_ready([*USED, LATER])
        self.airflow.set_pools()
        for dag in USED:
            self.api.unpause(dag)

    def stop(self) -> None:
        """End everything."""
        processes.end(self.root, grace_s=1.0)  # nothing of it is read again

    def calls(self) -> list[list[str]]:
        """Command lines that the stub was called with, in order."""
        path = self.lake / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait(self, what: Callable[[], object], timeout_s: float = 180.0) -> object:
        """The first true value of `what`; AssertionError with the log's end when none comes in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if value := what():
                return value
            time.sleep(1.0)
        raise AssertionError(f"nothing came of it within {timeout_s:.0f} s\n{self.airflow.tail(40)}")

    def finished(self, dag: str, run_id: str) -> dict[tuple[str, int], str]:
        """States of a run's tasks by (task, map index), once it is over."""
        run = {"dag_id": dag, "dag_run_id": run_id}

        def over() -> dict | None:
            if self.api.get(f"dags/{dag}/dagRuns/{quote(run_id)}")["state"] not in ("success", "failed"):
                return None
            return {(t["task_id"], t["map_index"]): t["state"] for t in self.api.tasks(run)}

        found = self.wait(over)
        assert isinstance(found, dict)
        assert set(found.values()) <= {*OVER, None}
        return found

    def curate(self, day: str, **conf: object) -> str:
        """Trigger one partition; the run's id."""
        body = {"logical_date": None, "partition_key": day, "conf": conf}
        return self.api.send("POST", "dags/curate/dagRuns", body)["dag_run_id"]

    def events(self) -> list[dict]:
        """Asset events so far, oldest first."""
        found = self.wait(lambda: (events := self.api.asset_events("2000-01-01T00:00:00Z")) is not None and [events])
        assert isinstance(found, list)
        return found[0]
