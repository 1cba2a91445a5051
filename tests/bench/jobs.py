"""Jobs on the cluster that KUBECONFIG names: what starting one costs, and what two hundred that wait cost.

    .venv/bin/python tests/bench/jobs.py [--runs 20] [--jobs 200] [--seconds 60] [--quick] [--json]

The environment is that of `make test-cluster` (tests/cluster/helpers.py). Figures, each beside a reference of the same
run; a ratio below 1 is ours being quicker or cheaper:

    triggers waiting  processor share of one core while `--jobs` Jobs wait for quota, each watched by its trigger,
                      beside the provider's own loop over the same Jobs (a look at each every 10 s: a tenth of
                      the processor seconds of one such round)
    create            seconds until all of them exist, beside one `kubectl create` of their list
    overhead          from Airflow's decision (the task is queued) to the first line of `winnow ingest` in the pod,
                      beside `kubectl create job` of the same image and command from its start to that line; medians
    tick              from the trigger to the start of a task that needs no Job, while so many Jobs of Airflow's wait
                      for quota, beside the same in an idle Airflow; medians of 5. With it the processor share of the
                      triggerer and the age of the scheduler's last heartbeat, at most

`--quick` leaves out what needs an Airflow, and takes 20 Jobs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from unittest import mock
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import psutil
import structlog

import winnow_job
from tests.cluster import helpers, jobs
from tests.cluster.airflow import ClusterAirflow
from winnow.demo import processes

#: A folder that every pod has: `ingest` finds an empty day in it.
INBOX = "/scratch"
DAGS = """
from airflow.sdk import DAG, task, task_group
from winnow_stage import DEFAULT_ARGS, command

with DAG("one", schedule=None, default_args=DEFAULT_ARGS):
    command("ingest", "--batch", "bench", pool="default_pool")

with DAG("many", schedule=None, default_args=DEFAULT_ARGS, max_active_tasks={jobs}):
    @task_group(prefix_group_id=False)
    def each(batch):
        command("ingest", "--batch", batch, pool="default_pool")
    each.expand(batch=[f"b{{number}}" for number in range({jobs})])

with DAG("tick", schedule=None):
    @task
    def tick():
        pass
    tick()
"""


def quota(pods: int) -> None:
    """How many pods the namespace may have."""
    patch = json.dumps({"spec": {"hard": {"pods": str(pods)}}})
    helpers.kubectl("-n", helpers.NAMESPACE, "patch", "resourcequota", "winnow", "-p", patch)


def no_jobs() -> bool:
    """Whether the last Job is gone."""
    return not helpers.get("jobs")


def triggers_alone(number: int, seconds: float) -> list[dict]:
    """Triggers in this process, as in a triggerer, over Jobs that wait for quota; then the provider's loop."""
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook

    import winnow_kube  # noqa: F401  a triggerer imports it once, in seconds

    made = [jobs.make(["ingest", "--batch", "bench"], task=f"waiting-{one}") for one in range(number)]

    async def ours() -> tuple[float, float]:
        triggers = [winnow_job.JobTrigger(job, None, 3600.0) for job in made]

        async def end(trigger: winnow_job.JobTrigger) -> None:
            async for _ in trigger.run():
                pass

        began = time.perf_counter()
        running = [asyncio.create_task(end(trigger)) for trigger in triggers]
        while len(await asyncio.to_thread(helpers.get, "jobs")) < number:
            await asyncio.sleep(0.2)
        created = time.perf_counter() - began
        await asyncio.sleep(2)
        began_waiting = time.process_time()
        await asyncio.sleep(seconds)
        used = 100 * (time.process_time() - began_waiting) / seconds
        await asyncio.gather(*(trigger.on_kill() for trigger in triggers))
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        return created, used

    async def providers(rounds: int = 3) -> float:
        admin = json.loads(helpers.kubectl("config", "view", "--raw", "-o", "json"))
        hook = AsyncKubernetesHook(conn_id=None, config_dict=admin)  # it asks for jobs/status, ours need not
        names = [job["metadata"]["name"] for job in made]
        began = time.process_time()
        for _ in range(rounds):
            await asyncio.gather(*(hook.get_job_status(name=name, namespace=helpers.NAMESPACE) for name in names))
        return 100 * (time.process_time() - began) / rounds / 10

    quota(0)
    created, used = asyncio.run(ours())
    helpers.wait(no_jobs, "killed triggers delete their Jobs", 120)
    began = time.perf_counter()
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
    helpers.kubectl("create", "--validate=false", "-f", "-", stdin=everything)
    listed = time.perf_counter() - began
    reference = asyncio.run(providers())
    helpers.kubectl("-n", helpers.NAMESPACE, "delete", "jobs", "--all", "--wait=false")
    helpers.wait(no_jobs, "the Jobs go", 120)
    quota(200)
    return [
        figure(f"triggers waiting ({number})", used, reference, "% of a core"),
        figure(f"create ({number})", created, listed, "s"),
    ]


def seconds(moment: str) -> float:
    """An RFC 3339 moment as s since 1970."""
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def first_line(job: str) -> float:
    """When the pod of a Job wrote its first line, s since 1970, once the Job has succeeded."""
    helpers.wait(lambda: any(one["status"].get("succeeded") for one in named(job)), f"{job} succeeds", 120)
    return seconds(helpers.kubectl("-n", helpers.NAMESPACE, "logs", "--timestamps", f"job/{job}").split()[0])


def named(job: str) -> list[dict]:
    """The Job of a name, in a list."""
    return helpers.get("jobs", f"--field-selector=metadata.name={job}")


def plain(number: int) -> float:
    """`kubectl create job`, from its start to its pod's first line."""
    image = f"{os.environ['WINNOW_IMAGES']}/base:{os.environ['WINNOW_TAG']}"
    name, command = f"plain-{number}", ["env", f"WINNOW_INBOX={INBOX}", "winnow", "ingest", "--batch", "bench"]
    began = time.time()
    helpers.kubectl("-n", helpers.NAMESPACE, "create", "job", name, f"--image={image}", "--", *command)
    return first_line(name) - began


def through(airflow: ClusterAirflow) -> float:
    """A task of Airflow's, from its being queued to its pod's first line."""
    run = airflow.api.trigger("one")
    queued: list[str] = []

    def is_queued() -> bool:
        queued.append(airflow.task("one", run, "ingest").get("queued_when") or "")
        return bool(queued[-1])

    helpers.wait(is_queued, "the task is queued", 60)
    assert airflow.over("one", run) == "success"
    newest = max(helpers.get("jobs", "-l", "winnow/dag=one"), key=lambda job: job["metadata"]["creationTimestamp"])
    return first_line(newest["metadata"]["name"]) - seconds(queued[-1])


def tick(airflow: ClusterAirflow) -> float:
    """From the trigger of a run to the start of its task."""
    run = airflow.api.trigger("tick")
    assert airflow.over("tick", run) == "success"
    asked = next(one["queued_at"] for one in airflow.api.runs("tick", "") if one["dag_run_id"] == run)
    return seconds(airflow.task("tick", run, "tick")["start_date"]) - seconds(asked)


def overhead(airflow: ClusterAirflow, runs: int) -> dict:
    """One task after the other, each beside a plain Job."""
    through(airflow), plain(0)  # the first of each loads what the others find loaded
    pairs = [(through(airflow), plain(number)) for number in range(1, runs + 1)]
    ours, reference = (statistics.median(one) for one in zip(*pairs, strict=True))
    found = figure(f"overhead (median of {runs})", ours, reference, "s")
    return {**found, "more_s": round(ours - reference, 2)}


def waiting(airflow: ClusterAirflow, number: int, watched_s: float) -> dict:
    """What so many Jobs that wait for quota do to everybody else."""
    idle = statistics.median(tick(airflow) for _ in range(5))
    helpers.kubectl("-n", helpers.NAMESPACE, "delete", "jobs", "--all")
    quota(0)
    began = time.monotonic()
    run = airflow.api.trigger("many")
    helpers.wait(lambda: len(helpers.get("jobs")) >= number, "all Jobs are there", 900)
    created = time.monotonic() - began
    triggerer = [one for one in processes.running(airflow.root) if "triggerer" in " ".join(one.cmdline())]
    before, began, ages, ticks = cpu(triggerer), time.monotonic(), [], []
    while len(ticks) < 5 or time.monotonic() - began < watched_s:
        beat = airflow.api.get("monitor/health")["scheduler"]["latest_scheduler_heartbeat"]
        ages.append(time.time() - seconds(beat))
        if len(ticks) < 5:
            ticks.append(tick(airflow))
        time.sleep(1)
    used = 100 * (cpu(triggerer) - before) / (time.monotonic() - began)
    began = time.monotonic()
    airflow.api.send("PATCH", f"dags/many/dagRuns/{quote(run)}", {"state": "failed"})
    helpers.wait(no_jobs, "a failed run leaves no Job", 300)
    gone = time.monotonic() - began
    quota(200)
    return {
        **figure(f"tick beside {number} Jobs", statistics.median(ticks), idle, "s"),
        "triggerer_percent": round(used, 1),
        "heartbeat_age_s": round(max(ages), 1),
        "all_created_s": round(created, 1),
        "all_deleted_s": round(gone, 1),
    }


def cpu(found: list[psutil.Process]) -> float:
    """Processor seconds of processes so far."""
    return sum(sum(one.cpu_times()[:2]) for one in found)


def figure(name: str, ours: float, reference: float, unit: str) -> dict:
    """One line."""
    return {
        "figure": name,
        "unit": unit,
        "ours": round(ours, 2),
        "reference": round(reference, 2),
        "ratio": round(ours / reference, 3),
    }


def measure(chosen: argparse.Namespace, scratch: Path, shared: Path) -> Iterator[dict]:
    """All figures, as they come."""
    kubeconfig = helpers.account_kubeconfig(scratch / "kubeconfig")
    number, watched_s = (20, 5.0) if chosen.quick else (chosen.jobs, chosen.seconds)
    with mock.patch.dict(os.environ, KUBECONFIG=str(kubeconfig)):
        yield from triggers_alone(number, watched_s)
    if not chosen.quick:
        dags = scratch / "dags"
        dags.mkdir()
        (dags / "bench.py").write_text(DAGS.format(jobs=number))
        with (
            mock.patch.dict(os.environ, WINNOW_INBOX=INBOX),
            ClusterAirflow(scratch, shared, kubeconfig, ["one", "many", "tick"], dags=dags) as airflow,
        ):
            yield overhead(airflow, chosen.runs)
            yield waiting(airflow, number, watched_s)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if missing := helpers.missing():
        print(f"no cluster to measure on: {missing} (tests/cluster/helpers.py)")
        return
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as scratch:
        shared = helpers.shared_folder(Path(scratch))
        try:
            helpers.install(shared)
            for line in measure(chosen, Path(scratch), shared):
                more = "".join(f", {key} {line[key]}" for key in list(line)[5:])
                shown = f"{line['figure']:28} {line['ours']} {line['unit']}, reference {line['reference']}"
                print(json.dumps(line) if chosen.json else f"{shown}: ratio {line['ratio']}{more}", flush=True)
        finally:
            helpers.uninstall()


if __name__ == "__main__":
    main()
