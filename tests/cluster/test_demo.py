"""The demo's three batches and its release, on the cluster, with trouble: the same bytes as on this machine alone."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster import helpers
from tests.cluster.trouble import Troublemaker, ended

#: Without the 23 real-world kinds: each stage of each shard is a pod here, and they are the same on any machine.
CHOICE = ("--videos", "18", "--seed", "3", "--no-kinds")
#: What an environment may say about instructions, on this machine and in its pods: it decides nothing.
HERE = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "X86_V3"}
THERE = {"OPENBLAS_CORETYPE": "Sandybridge", "NUMBA_CPU_NAME": "generic"}


def _tell_pods(variables: dict[str, str | None]) -> None:
    """Give all new pods variables of the environment; None takes one away."""
    change = json.dumps({"data": variables})
    helpers.kubectl("-n", helpers.NAMESPACE, "patch", "configmap", "winnow", "--type=merge", "-p", change)


@pytest.mark.timeout(1100)
def test_the_demo_on_the_cluster_publishes_what_it_publishes_here(
    shared: Path, kubeconfig: Path, tmp_path: Path
) -> None:
    """Both at once: each spends half of its time waiting, and what they publish may not depend on it. Nor on which
    instructions each environment asks for: nodes are of several kinds, and so are their settings."""
    _tell_pods(THERE)
    folder = shared / "demo"
    before = os.umask(0)  # what Airflow and the world's maker write, pods of another user must be able to write to
    there = helpers.Demo(folder, {**os.environ, **helpers.there(shared, kubeconfig)}, *CHOICE)
    os.umask(before)
    here = helpers.Demo(tmp_path / "demo", {**helpers.here(), **HERE}, *CHOICE)
    trouble = Troublemaker(folder)
    try:
        here.wait(900)
        there.wait(1000)
    finally:
        here.stop()
        there.stop()
        trouble.stop()
        _tell_pods(dict.fromkeys(THERE))
    assert trouble.failed == {}
    assert [pod for pod in helpers.get("pods") if ended(pod) == "OOMKilled"], "a pod ran out of memory"

    assert helpers.published(folder) == helpers.published(tmp_path / "demo") != {}
    jobs = helpers.get("jobs")
    stages = {job["metadata"]["labels"]["winnow/stage"] for job in jobs}
    assert {"ingest", "screen", "decide", "fetch", "clip", "probe", "visual", "audio", "correspond", "fit"} <= stages
    assert all(job["status"].get("active", 0) == 0 for job in jobs), "nothing is left running"
    commits = Counter(
        (manifest["stage"], manifest["v"], manifest["batch"], manifest["shard"].partition("-")[0])
        for path in (folder / "lake").glob("*/v=*/batch=*/*.json")
        for manifest in [json.loads(path.read_text())]
    )
    assert set(commits.values()) == {1}, "no shard has two commits"
    tables = {path.name for path in (folder / "lake").glob("*/v=*/batch=*/*.parquet")}
    committed = {json.loads(path.read_text())["file"] for path in (folder / "lake").glob("*/v=*/batch=*/*.json")}
    assert tables == committed, "what a late attempt wrote is gone"
