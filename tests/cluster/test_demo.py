"""The demo's three batches and its release, on the cluster, with trouble: the same bytes as on this machine alone."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster import house
from tests.cluster.trouble import Troublemaker

CHOICE = ("--videos", "24", "--seed", "3")


@pytest.mark.timeout(1500)
def test_the_demo_on_the_cluster_publishes_what_it_publishes_here(
    shared: Path, kubeconfig: Path, tmp_path: Path
) -> None:
    here = house.demo(tmp_path / "demo", dict(os.environ), *CHOICE)
    local = here.communicate(timeout=900)[0]
    assert here.returncode == 0, local[-4000:]
    folder = shared / "demo"
    before = os.umask(0)  # what Airflow and the world's maker write, pods of another user must be able to write to
    try:
        running = house.demo(folder, house.environment(shared, kubeconfig), *CHOICE)
        trouble = Troublemaker(folder)
        try:
            said = running.communicate(timeout=1200)[0]
        finally:
            trouble.stop()
    finally:
        os.umask(before)
    assert running.returncode == 0, said[-6000:]
    assert trouble.failed == {}
    assert set(trouble.done) >= {"delete_a_pod", "exhaust_a_pod", "kill_the_triggerer"}

    assert house.published(folder) == house.published(tmp_path / "demo")
    jobs = house.get("jobs")
    stages = Counter(job["metadata"]["labels"]["winnow/stage"] for job in jobs)
    assert {"ingest", "screen", "decide", "fetch", "clip", "probe", "visual", "audio", "correspond", "fit"} <= set(
        stages
    )
    assert all(job["status"].get("active", 0) == 0 for job in jobs), "nothing is left running"
    commits = Counter(
        (manifest["stage"], manifest["v"], manifest["batch"], manifest["shard"])
        for path in (folder / "lake").glob("*/v=*/batch=*/*.json")
        for manifest in [json.loads(path.read_text())]
    )
    assert commits
    assert set(commits.values()) == {1}, "no shard has two commits"
    tables = {path.name for path in (folder / "lake").glob("*/v=*/batch=*/*.parquet")}
    committed = {json.loads(path.read_text())["file"] for path in (folder / "lake").glob("*/v=*/batch=*/*.json")}
    assert tables == committed, "what a late attempt wrote is gone"
