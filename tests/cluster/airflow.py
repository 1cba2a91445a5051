"""A real Airflow whose tasks are Jobs on the cluster, and what tests and benches ask of it."""

from __future__ import annotations

import time
from pathlib import Path

import yaml

from tests.cluster import helpers
from winnow.demo import processes
from winnow.demo.airflow_local import LocalAirflow


class ClusterAirflow:
    """One Airflow in a folder, for a `with` block.

    dags: folder of DAGs, the checkout's by default; names: which of them to wait for and switch on; command: what pods
    run instead of `winnow`.
    """

    def __init__(
        self,
        root: Path,
        shared: Path,
        kubeconfig: Path,
        names: list[str],
        *,
        dags: Path | None = None,
        command: list[str] | None = None,
    ) -> None:
        self.root, self.names = root, names
        environment = {**processes.marked_environment(root), **helpers.there(shared, kubeconfig)}
        if dags:
            environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(dags)
        if command:
            environment["WINNOW_PODS"] = str(pods_that_run(command, root / "pods"))
        self.airflow = LocalAirflow(root / "airflow", environment, root / "airflow.log")
        self.api = self.airflow.api

    def __enter__(self) -> ClusterAirflow:
        try:
            self.airflow.start()
            self.airflow.wait_ready(self.names)
            self.airflow.set_pools()
            for name in self.names:
                self.api.unpause(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *about: object) -> None:
        """Jobs outlive an Airflow that is killed. Not all are the test's: in the first hours of a day (UTC) `curate`
        starts with the day that has just ended as soon as it is switched on."""
        processes.end(self.root)
        helpers.kubectl("-n", helpers.NAMESPACE, "delete", "jobs", "--all", check=False)

    def task(self, dag: str, run: str, task: str) -> dict:
        """A task's instance; {} before there is one."""
        found = [one for one in self.api.tasks({"dag_id": dag, "dag_run_id": run}) if one["task_id"] == task]
        return found[0] if found else {}

    def over(self, dag: str, run: str, timeout_s: float = 120.0) -> str:
        """The state in which a run ends."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            state = next(one["state"] for one in self.api.runs(dag, "") if one["dag_run_id"] == run)
            if state in ("success", "failed"):
                return state
            time.sleep(0.3)
        raise AssertionError(f"{dag} {run} has not ended within {timeout_s:.0f} s\n{self.airflow.tail(40)}")


def pods_that_run(command: list[str], folder: Path) -> Path:
    """Pod templates like the checkout's whose container runs something else."""
    folder.mkdir(parents=True)
    for path in (helpers.ROOT / "k8s" / "pods").glob("*.yaml"):
        pod = yaml.safe_load(path.read_text(encoding="utf-8"))
        pod["spec"]["containers"][0]["command"] = command
        (folder / path.name).write_text(yaml.safe_dump(pod), encoding="utf-8")
    return folder
