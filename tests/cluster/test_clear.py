"""A person clears or fails a task in Airflow's UI (the REST calls that it makes): no Job is left without its task."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cluster.airflow import ClusterAirflow
from tests.cluster.helpers import get, wait

DAY = "2026-11-01"
HANG = ["python", "-u", "-c", "import time; print('begun'); time.sleep(900)"]


def jobs() -> dict[str, str]:
    """Winnow's Jobs of this batch: attempt → name."""
    found = get("jobs", "-l", f"winnow/batch={DAY},winnow/stage=ingest,winnow/dag=curate")
    return {one["metadata"]["labels"]["winnow/attempt"]: one["metadata"]["name"] for one in found}


def runs_now(attempt: str) -> bool:
    """Whether the pod of an attempt runs."""
    pods = get("pods", "-l", f"winnow/batch={DAY},winnow/attempt={attempt}")
    return any(pod["status"].get("phase") == "Running" for pod in pods)


@pytest.mark.fault("a cleared or failed task", "the cluster", "no Job is left behind")
def test_a_cleared_or_failed_task_leaves_no_orphan(shared: Path, kubeconfig: Path, tmp_path: Path) -> None:
    with ClusterAirflow(tmp_path, shared, kubeconfig, ["curate"], command=HANG) as airflow:
        body = {"logical_date": None, "partition_key": DAY, "conf": {}}
        run = airflow.api.send("POST", "dags/curate/dagRuns", body)["dag_run_id"]
        wait(lambda: runs_now("1"), "the first attempt's pod runs", 90)
        assert airflow.task("curate", run, "ingest")["state"] == "deferred"

        clear = {"dry_run": False, "dag_run_id": run, "task_ids": ["ingest"], "only_failed": False}
        airflow.api.send("POST", "dags/curate/clearTaskInstances", clear)
        wait(lambda: "1" not in jobs(), "its Job is deleted", 60)
        wait(lambda: runs_now("2"), "the second attempt's pod runs", 90)
        assert set(jobs()) == {"2"}

        path = f"dags/curate/dagRuns/{quote(run)}/taskInstances/ingest"
        airflow.api.send("PATCH", path, {"new_state": "failed"})
        wait(lambda: not jobs(), "its Job is deleted too", 60)
        wait(lambda: not get("pods", "-l", f"winnow/batch={DAY}"), "and its pod", 120)
        assert airflow.task("curate", run, "ingest")["state"] == "failed"
