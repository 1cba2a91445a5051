"""Prints, as JSON, what becomes of Jobs on a cluster that only answers (fake_cluster.py): each scenario's answer by its
name. Run where Airflow may be imported."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"])

import certifi
from kubernetes_asyncio.config import incluster_config

import winnow_job
import winnow_kube
import winnow_pod
import winnow_watch
from tests.dags.fake_cluster import FakeCluster, Thing

SCENARIOS: dict[str, Callable[[FakeCluster], Awaitable[Any]]] = {}
Play = Callable[[FakeCluster], Awaitable[Any]]


def scenario(play: Play) -> Play:
    """A function whose answer is printed under its name."""
    SCENARIOS[play.__name__] = play
    return play


class Told(winnow_job.JobTrigger):
    """A trigger whose log stays in `lines`."""

    def __init__(self, *about: Any) -> None:
        super().__init__(*about)
        self.lines: list[str] = []

    @property
    def log(self) -> Told:
        return self

    def info(self, text: str, *values: object) -> None:
        self.lines.append(text % values)

    warning = info

    async def event(self) -> dict[str, Any]:
        """That with which it ends."""
        async for event in self.run():
            return event.payload
        raise AssertionError("no event")


def trigger(pending_s: float = 60.0, **about: Any) -> Told:
    """The trigger of `winnow ingest`, in its first attempt."""
    attempt = winnow_pod.Attempt(
        **{"dag": "curate", "run": "day", "task": "ingest", "map_index": -1, "number": 1, "instance": "0199"} | about
    )
    cluster = winnow_pod.Cluster.from_environment({"WINNOW_TAG": "0123456789ab"})
    return Told(winnow_pod.job(["ingest", "--batch", "2026-11-01"], attempt, cluster), None, pending_s)


def said(event: dict[str, Any]) -> str:
    """What Airflow says to an event."""
    try:
        return f"summary {json.dumps(winnow_job.outcome(event, 'it'))}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@scenario
async def in_a_pod(cluster: FakeCluster) -> Any:
    """Its account is the way to the server where nothing else is; without its token the task is told so."""
    folder = Path(os.environ["KUBECONFIG"]).parent
    (folder / "token").write_text("it's me")
    shutil.copy(certifi.where(), folder / "ca.crt")
    there = {"HOME": str(folder), "KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with mock.patch.dict(os.environ, there):
        elsewhere = winnow_watch.is_in_pod()
        del os.environ["KUBECONFIG"]
        files = {"SERVICE_TOKEN_FILENAME": str(folder / "token"), "SERVICE_CERT_FILENAME": str(folder / "ca.crt")}
        with mock.patch.multiple(incluster_config, **files):
            async with winnow_watch.Watched(None, "winnow").hook.get_conn() as connection:
                found = [connection.configuration.host, connection.configuration.api_key["BearerToken"]]
            (folder / "token").unlink()
            with mock.patch.object(winnow_job, "PATIENCE_S", 0.0):
                refused = said(await trigger().event())
        return {"with_kubeconfig": elsewhere, "found": found, "without_token": refused}


async def run(cluster: FakeCluster, number: int, rows: int) -> None:
    """The `number`th Job that was created ends well, with a summary."""
    job = await cluster.job(number)
    cluster.exited(job, f"pod-{number}", 0, json.dumps({"rows": rows}))
    cluster.finish(job)


@scenario
async def adopted(cluster: FakeCluster) -> Any:
    """The triggerer restarts, twice: while the Job runs, and when it has ended."""
    first = asyncio.create_task(trigger().event())
    await cluster.job()
    first.cancel()
    await asyncio.wait([first])
    again = trigger()
    ends = asyncio.create_task(again.event())
    await cluster.until(lambda: again.lines)
    await run(cluster, 1, rows=1)
    return {
        "says": again.lines[0],
        "ends": [said(await ends), said(await trigger().event())],
        "jobs": len(cluster.created),
    }


@scenario
async def another_of_the_name(cluster: FakeCluster) -> Any:
    """Jobs that have ended, and have the name that is wanted: of an earlier run of this id, of another image, of other
    arguments."""
    answers = []
    for number, change in enumerate(({"instance": "earlier"}, {"image": "old"}, {"args": ["ingest", "--batch", "x"]})):
        other = trigger(instance=change.pop("instance", "0199")).job
        other["spec"]["template"]["spec"]["containers"][0].update(change)
        other["metadata"]["uid"] = f"other-{number}"
        cluster.put("jobs", other)
        cluster.exited(other, f"other-{number}", 0, json.dumps({"rows": 99}))
        cluster.finish(other)
        mine = asyncio.create_task(trigger().event())
        await run(cluster, number + 1, rows=number)
        answers.append(said(await mine))
        cluster.remove("jobs", other["metadata"]["name"])
    return answers


@scenario
async def not_yet_created(cluster: FakeCluster) -> Any:
    """What a server says while others create too, while it starts, and while a quota is full."""
    cluster.refusals = [
        (409, "Conflict", 'Operation cannot be fulfilled on resourcequotas "winnow": the object has been modified'),
        (401, "Unauthorized", "Unauthorized"),
        (403, "Forbidden", "jobs.batch is forbidden: exceeded quota: winnow, requested: count/jobs.batch=1"),
    ]
    mine = trigger()
    ends = asyncio.create_task(mine.event())
    await run(cluster, 1, rows=1)
    return {"ends": said(await ends), "lines": mine.lines}


@scenario
async def never_created(cluster: FakeCluster) -> Any:
    """The same without end, and a Job that is wrong."""
    answers = []
    for refusal in (
        (403, "Forbidden", "jobs.batch is forbidden: exceeded quota: winnow"),
        (403, "Forbidden", 'User "it" cannot create resource "jobs"'),
        (422, "Invalid", "spec.template: Invalid value"),
    ):
        cluster.refusals = [refusal] * 9
        with mock.patch.object(winnow_job, "PATIENCE_S", 1.0):
            answers.append(said(await trigger(pending_s=1.0).event()))
    return answers


def stamped(second: int, *texts: str) -> list[str]:
    """Lines of one moment, as a log has them."""
    return [f"2026-11-01T00:00:{second:02d}.500000000Z {text}" for text in texts]


@scenario
async def a_log_that_breaks(cluster: FakeCluster) -> Any:
    """Cut within a line, thrice: among lines of one moment, while the pod is silent, and while it ends."""
    mine = trigger()
    ends = asyncio.create_task(mine.event())
    job = await cluster.job()
    log = cluster.logs["pod-1"]
    log += [*stamped(1, "a", "b"), *stamped(2, "c", "c", "c", "d"), *stamped(3, '{"e": 1}')]
    cluster.broken["pod-1"] = [4, 6, 7]
    cluster.pod(job, "pod-1", "Running", {"running": {}})
    await cluster.until(lambda: '{"e": 1}' in mine.lines)
    log += stamped(4, "f", "the last")
    await cluster.until(lambda: "f" in mine.lines or not cluster.broken["pod-1"])
    await run(cluster, 1, rows=1)
    return {"ends": said(await ends), "lines": mine.lines[1:], "asked": [one.get("sinceTime") for one in cluster.asked]}


@scenario
async def a_log_of_two_pods(cluster: FakeCluster) -> Any:
    """The first one's node is lost: its pod seems to run and its log cannot be had."""
    mine = trigger()
    ends = asyncio.create_task(mine.event())
    job = await cluster.job()
    cluster.logs["pod-0"], cluster.logs["pod-1"] = stamped(1, "first"), stamped(9, "second")
    cluster.broken["pod-0"] = [1, *[0] * 99]
    cluster.logs["pod-0"] += stamped(2, "never seen")
    cluster.pod(job, "pod-0", "Running", {"running": {}})
    await cluster.until(lambda: "first" in mine.lines)
    cluster.pod(job, "pod-1", "Running", {"running": {}})
    await cluster.until(lambda: "second" in mine.lines)
    cluster.remove("pods", "pod-0")
    await run(cluster, 1, rows=1)
    return {"ends": said(await ends), "lines": mine.lines[1:]}


@scenario
async def obstacles(cluster: FakeCluster) -> Any:
    """Why a Job has no running pod, each for as long as it may last."""

    def waits(job: Thing, reason: str, message: str = "") -> None:
        cluster.pod(job, job["metadata"]["name"], "Pending", {"waiting": {"reason": reason, "message": message}})

    def no_pod(job: Thing, message: str) -> None:
        cluster.warn(job, "Job", "FailedCreate", message)

    def no_mount(job: Thing) -> None:
        waits(job, "ContainerCreating")
        cluster.warn(cluster.held["pods"][job["metadata"]["name"]], "Pod", "FailedMount", 'pvc "lake" not found')

    def queued(job: Thing) -> None:
        job["spec"]["suspend"], job["metadata"]["labels"][winnow_pod.QUEUE] = True, "gpus"
        cluster.put("jobs", job)

    reasons: dict[str, Callable[[Thing], None]] = {
        "config map": lambda job: waits(job, "CreateContainerConfigError", 'configmap "winnow" not found'),
        "image": lambda job: waits(job, "ImagePullBackOff", "away"),
        "no image": lambda job: waits(job, "ErrImageNeverPull"),
        "quota": lambda job: no_pod(job, 'pods "x" is forbidden: exceeded quota: winnow'),
        "security": lambda job: no_pod(job, 'pods "x" is forbidden: violates PodSecurity "restricted:latest"'),
        "mount": no_mount,
        "nothing": lambda job: None,
        "queue": queued,
    }

    async def given_up(name: str) -> list[Any]:
        mine = trigger(pending_s=2.0, task=name)
        ends = asyncio.create_task(mine.event())
        reasons[name](await cluster.until(lambda: cluster.held["jobs"].get(mine.name)))
        return [said(await ends), [line for line in mine.lines if line.startswith("waiting: ")]]

    quick = {"PATIENCE_S": 1.0, "QUEUE_S": 1.0, "QUIET_S": 0.0}
    with mock.patch.multiple(winnow_job, **quick), mock.patch.object(winnow_kube, "LOOK_S", 0.2):
        answers = await asyncio.gather(*map(given_up, reasons))
    return {"answers": dict(zip(reasons, answers, strict=True)), "left": list(cluster.held["jobs"])}


@scenario
async def a_long_queue(cluster: FakeCluster) -> Any:
    """The time in a queue counts neither against the patience with a node nor with an image."""
    mine = trigger(pending_s=3.0)
    ends = asyncio.create_task(mine.event())
    job = await cluster.job()
    job["spec"]["suspend"] = True
    with mock.patch.object(winnow_kube, "LOOK_S", 0.2):
        cluster.put("jobs", job)
        await cluster.until(lambda: mine.lines[1:])
        await asyncio.sleep(3.5)
        cluster.pod(job, "pod-1", "Pending", {"waiting": {"reason": "ImagePullBackOff"}})
        cluster.put("jobs", {**job, "spec": {**job["spec"], "suspend": False}})
        await asyncio.sleep(0.5)
        await run(cluster, 1, rows=1)
        return said(await ends)


@scenario
async def away_for_long(cluster: FakeCluster) -> Any:
    """For longer than a pod may wait; meanwhile it begins to run."""
    mine = trigger(pending_s=4.0)
    ends = asyncio.create_task(mine.event())
    job = await cluster.job()
    with mock.patch.object(winnow_kube, "LOOK_S", 0.2):
        await cluster.until(lambda: mine.lines)
        cluster.away = True
        cluster.pod(job, "pod-1", "Running", {"running": {}})
        await asyncio.sleep(5)
        before = ends.done()
        cluster.away = False
        await run(cluster, 1, rows=1)
        return {"before": before, "ends": said(await ends)}


@scenario
async def ended_while_away(cluster: FakeCluster) -> Any:
    """The same, and meanwhile its pod ends: the Job says so only when its controller is back."""
    mine = trigger(pending_s=4.0)
    ends = asyncio.create_task(mine.event())
    job = await cluster.job()
    with mock.patch.object(winnow_kube, "LOOK_S", 0.2):
        cluster.pod(job, "pod-1", "Running", {"running": {}})
        await asyncio.sleep(1)
        cluster.away = True
        cluster.exited(job, "pod-1", 0, json.dumps({"rows": 1}))
        await asyncio.sleep(5)
        cluster.away = False
        await asyncio.sleep(3)
        cluster.finish(job)
        return said(await ends)


@scenario
async def out_of_memory(cluster: FakeCluster) -> Any:
    """Twice with one limit; then somebody raises it."""
    answers = []
    for number, memory in enumerate(("1Gi", "1Gi", "2Gi", "2Gi"), 1):
        mine = trigger(number=number)
        mine.job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = memory
        ends = asyncio.create_task(mine.event())
        job = await cluster.job(number)
        cluster.exited(job, f"pod-{number}", 137, reason="OOMKilled")
        cluster.finish(job, "Failed", reason="BackoffLimitExceeded")
        answers.append(said(await ends))
    return answers


def main() -> None:
    """Play the scenarios that `ask_trigger.py FIRST STEP` says, every STEPth from the FIRST; print."""
    logging.disable(logging.CRITICAL)
    first, step = map(int, sys.argv[1:])
    played = list(SCENARIOS.items())[first::step]
    print("\n" + json.dumps({name: asyncio.run(alone(play)) for name, play in played}))


async def alone(play: Play) -> Any:
    """A scenario on a cluster of its own; its traceback where it failed."""
    try:
        async with FakeCluster() as cluster:
            return await asyncio.wait_for(play(cluster), 30)
    except BaseException:
        return {"failed": traceback.format_exc()}


if __name__ == "__main__":
    main()
