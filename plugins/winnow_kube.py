"""What the trigger asks of a Kubernetes cluster, over the provider's asynchronous hook.

What it hears of its Job without asking comes by watches that all triggers share (winnow_watch.py)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from kubernetes_asyncio import client as api
from kubernetes_asyncio.client.exceptions import ApiException

from winnow_log import PodLog
from winnow_pod import INSTANCE, QUEUE
from winnow_watch import REQUEST_S, SELECTOR, Refused, Unreachable, Watched, reaching, status_of, uid

#: Why a container waits, as an obstacle: an image that no waiting brings, one that may come (a registry that is away),
#: what the container is made of or the runtime that makes it.
WAITING = {
    **dict.fromkeys(("ErrImageNeverPull", "InvalidImageName"), "image_never"),
    **dict.fromkeys(("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"), "image"),
    **dict.fromkeys(("CreateContainerConfigError", "CreateContainerError", "RunContainerError"), "config"),
}
#: How often a Job is looked at although nothing was heard of it, s: its patience may be over.
LOOK_S = 5.0


@dataclass(frozen=True)
class Seen:
    """A Job at one moment. `finished`: (complete or failed, reason, message); `obstacle`: (kind, why it waits);
    `away_s`: how long nobody could say since the moment before."""

    missing: bool = False
    finished: tuple[str, str, str] | None = None
    running: bool = False
    obstacle: tuple[str, str] | None = None
    away_s: float = 0.0


_WATCHED: dict[tuple[int, str | None, str], Watched] = {}


@contextlib.asynccontextmanager
async def client(connection: str | None, namespace: str) -> AsyncIterator[Client]:
    """A client of one namespace; all of one event loop share its watches."""
    key = (id(asyncio.get_running_loop()), connection, namespace)
    watched = _WATCHED.get(key)
    if watched is None:
        watched = _WATCHED[key] = Watched(connection, namespace)
        watched.start()
    watched.users += 1
    try:
        yield Client(watched)
    finally:
        watched.users -= 1
        if not watched.users:
            del _WATCHED[key]
            watched.stop()


class Client:
    """Calls about one Job; each raises Unreachable where the server does not answer, and Refused where it says no."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.namespace = watched, watched.namespace
        self._uid: str | None = None  # of the Job that `create` made or found

    async def create(self, job: dict[str, Any]) -> bool:
        """Create a Job; False when this attempt has made it before. Another's of its name, left by a run that was
        deleted and made again, is deleted. So are, first, Jobs of earlier attempts at its task that still run: two
        attempts at a time would only wait for each other's commits."""
        labels = job["metadata"]["labels"]
        async with self._batch() as batch:
            same = f"{SELECTOR},winnow/task={labels['winnow/task']}"
            before = await batch.list_namespaced_job(self.namespace, label_selector=same, _request_timeout=REQUEST_S)
            for other in before.items:
                if other.metadata.name != job["metadata"]["name"] and not _finished(other):
                    await self._delete(batch, other.metadata.name)
            try:
                self._own(await batch.create_namespaced_job(self.namespace, job, _request_timeout=REQUEST_S))
                return True
            except ApiException as error:
                if status_of(error).get("reason") != "AlreadyExists":
                    raise
            name = job["metadata"]["name"]
            there = await self._read(batch, name)
            if there and _is_same(there, job):
                self._own(there)
                return False
            if there and not there.metadata.deletion_timestamp:
                await self._delete(batch, name)
            raise Unreachable(f"another attempt's Job {name} is being deleted")

    def _own(self, job: Any) -> None:
        """From now on the Job is this one, whatever else has had its name."""
        self._uid, name = uid(job), job.metadata.name
        if uid(self.watched.jobs.get(name)) != self._uid:
            self.watched.jobs[name] = job

    def _job(self, name: str) -> Any:
        """The Job as the watch knows it, or None."""
        job = self.watched.jobs.get(name)
        return job if uid(job) == self._uid else None

    def _is_its(self, pod: Any) -> bool:
        return any(owner.uid == self._uid for owner in pod.metadata.owner_references or [])

    def _pods(self, name: str) -> list[Any]:
        """Its pods, oldest first."""
        pods = filter(self._is_its, self.watched.pods.get(name, {}).values())
        return sorted(pods, key=lambda pod: str(pod.metadata.creation_timestamp))

    async def _read(self, batch: Any, name: str) -> Any:
        """A Job, or None."""
        try:
            return await batch.read_namespaced_job(name, self.namespace, _request_timeout=REQUEST_S)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    async def delete(self, name: str) -> None:
        """Delete a Job and its pods, if it is there."""
        async with self._batch() as batch:
            await self._delete(batch, name)

    async def _delete(self, batch: Any, name: str) -> None:
        try:
            await batch.delete_namespaced_job(
                name, self.namespace, propagation_policy="Background", _request_timeout=REQUEST_S
            )
        except ApiException as error:
            if error.status != 404:
                raise

    async def follow(self, name: str) -> AsyncIterator[Seen]:
        """The Job whenever something changed, and every few seconds anyway, until it is finished or gone."""
        absent, away_s = 0, 0.0
        while True:
            began = time.monotonic()
            await self.watched.listed.wait()
            away_s += time.monotonic() - began
            job = self._job(name)
            if job is None:
                absent += 1  # a list may be older than the Job: gone is what is gone twice
                if absent > 2 and await self._is_gone(name):
                    yield Seen(missing=True)
                    return
                await self.watched.wait(name, 1.0)
                continue
            absent = 0
            ended = _finished(job)
            if ended:
                yield Seen(finished=ended)
                return
            pods = self._pods(name)
            if any(pod.status.phase == "Running" for pod in pods):
                yield Seen(running=True, away_s=away_s)
            else:
                yield Seen(obstacle=self._obstacle(job, pods), away_s=away_s)
            away_s = 0.0
            await self.watched.wait(name, LOOK_S)

    def _obstacle(self, job: Any, pods: list[Any]) -> tuple[str, str] | None:
        """Why a Job without a running pod has none; None where the cluster does not say."""
        if job.spec.suspend:
            return "queue", f"the Job waits in the queue {(job.metadata.labels or {}).get(QUEUE, '(none: suspended)')}"
        for pod in pods:
            for status in pod.status.container_statuses or []:
                waiting = status.state.waiting if status.state else None
                if waiting and waiting.reason in WAITING:
                    kind = WAITING[waiting.reason]
                    what = f"container {status.name}" if kind == "config" else f"image {status.image}"
                    return kind, f"{what}: {waiting.reason} {waiting.message or ''}".strip()
            for condition in pod.status.conditions or []:
                if condition.type == "PodScheduled" and condition.status == "False":
                    return "unschedulable", f"{condition.reason}: {condition.message}"
            if pod.status.phase == "Pending":
                said = f"pod {pod.metadata.name} has a node and no container yet. {self.watched.warning(pod)}"
                return "starting", said.strip()
        refused = "" if pods else self.watched.warning(job)
        if refused.startswith("FailedCreate"):
            return "quota" if "exceeded quota" in refused else "admission", refused
        return None

    async def _is_gone(self, name: str) -> bool:
        with contextlib.suppress(Unreachable, Refused):
            async with self._batch() as batch:
                found = await self._read(batch, name)
            if uid(found) != self._uid:
                return True
            self.watched.jobs[name] = found
        return False

    async def log_lines(self, name: str) -> AsyncIterator[str]:
        """The logs of the Job's pods, from their first line to their last, until the Job has ended."""
        logs: dict[str, PodLog] = {}
        whole: set[str] = set()
        while True:
            job = self._job(name)
            begun = [pod for pod in self._pods(name) if pod.status.phase in ("Running", "Succeeded", "Failed")]
            left = [pod for pod in begun if pod.metadata.name not in whole]
            for pod in left:
                log = logs.setdefault(pod.metadata.name, PodLog(self.namespace, pod.metadata.name))
                ended = pod.status.phase != "Running"
                try:
                    with reaching():
                        async with self.watched.hook.get_conn() as connection:
                            async for line in log.follow(connection, ended):
                                yield line
                except Unreachable:
                    ended = False
                except Refused as error:
                    ended = ended and error.kind == "refused"  # its node keeps no log of it
                if ended:
                    whole.add(pod.metadata.name)
            if not left and job is not None and _finished(job):
                return
            if not any(pod.metadata.name in whole for pod in left):
                await self.watched.wait(name, 1.0 if left else LOOK_S)

    async def ending(self, name: str, lines: int) -> dict[str, Any]:
        """How the Job's last pod ended: exit code, termination message, whether it ran out of memory, its log's end."""
        async with self._core() as core:
            found = await core.list_namespaced_pod(
                self.namespace, label_selector=f"job-name={name}", _request_timeout=REQUEST_S
            )
            pods = sorted(filter(self._is_its, found.items), key=lambda pod: str(pod.metadata.creation_timestamp))
            if not pods:
                return {"exit_code": None, "tail": []}
            pod = pods[-1]
            ended = _terminated(pod)
            # Raw: a log that is one JSON object would come back parsed, and printed as Python.
            response = await core.read_namespaced_pod_log(
                pod.metadata.name, self.namespace, tail_lines=lines, _preload_content=False
            )
            tail = (await response.read()).decode("utf-8", "replace") if response.status == 200 else ""
            return {
                "exit_code": ended.exit_code if ended else None,
                "termination": ended.message if ended else None,
                "oom": bool(ended and ended.reason == "OOMKilled"),
                "memory": _memory(pod),
                "tail": tail.splitlines(),
            }

    async def oom_before(self, job: dict[str, Any], memory: str | None) -> bool:
        """Whether an earlier attempt at the same task ran out of memory too, with the same limit; somebody who raises
        it begins a new series."""
        labels = job["metadata"]["labels"]
        async with self._core() as core:
            same = f"{SELECTOR},winnow/task={labels['winnow/task']}"
            found = await core.list_namespaced_pod(self.namespace, label_selector=same, _request_timeout=REQUEST_S)
        others = [pod for pod in found.items if pod.metadata.labels["job-name"] != job["metadata"]["name"]]
        ended = [_terminated(pod) for pod in others if _memory(pod) == memory]
        return any(at is not None and at.reason == "OOMKilled" for at in ended)

    @contextlib.asynccontextmanager
    async def _batch(self) -> AsyncIterator[Any]:
        with reaching():
            async with self.watched.hook.get_conn() as connection:
                yield api.BatchV1Api(connection)

    @contextlib.asynccontextmanager
    async def _core(self) -> AsyncIterator[Any]:
        with reaching():
            async with self.watched.hook.get_conn() as connection:
                yield api.CoreV1Api(connection)


def _is_same(there: Any, job: dict[str, Any]) -> bool:
    """Whether a Job is the one that would be created: made by the same attempt, to run the same."""
    made, wanted = there.spec.template.spec.containers[0], job["spec"]["template"]["spec"]["containers"][0]
    same = (made.image, made.args or []) == (wanted["image"], wanted["args"])
    instance = (there.metadata.annotations or {}).get(INSTANCE)
    return same and instance == job["metadata"]["annotations"][INSTANCE] and not there.metadata.deletion_timestamp


def _finished(job: Any) -> tuple[str, str, str] | None:
    for condition in job.status.conditions or []:
        if condition.status == "True" and condition.type in ("Complete", "Failed"):
            return condition.type.lower(), condition.reason or "", condition.message or ""
    return None


def _memory(pod: Any) -> str | None:
    """The limit of a pod, as the server writes it."""
    return (pod.spec.containers[0].resources.limits or {}).get("memory")


def _terminated(pod: Any) -> Any:
    """How a pod's container ended, or None while it has not."""
    states = [status.state for status in pod.status.container_statuses or []]
    return next((state.terminated for state in states if state and state.terminated), None)
