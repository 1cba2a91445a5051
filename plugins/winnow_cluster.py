"""What the trigger asks of a Kubernetes cluster, over the provider's asynchronous hook.

One watch of Jobs and one of pods, by Winnow's label, serve all triggers of a triggerer: two hundred waiting tasks cost
the API server two streams, and each of them hears of its own Job at once. Where a stream breaks (the server restarts,
a resource version is too old) it is listed anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook
from kubernetes_asyncio import client as api
from kubernetes_asyncio import watch
from kubernetes_asyncio.client.exceptions import ApiException

from winnow_job import IMAGE_MAYBE, IMAGE_NEVER
from winnow_pod import MANAGED

LOG = logging.getLogger(__name__)
SELECTOR = ",".join(f"{key}={value}" for key, value in MANAGED.items())
#: A stream is renewed this often, s: a broken connection that nobody closed is noticed by then.
STREAM_S = 60
#: How often a Job is looked at although nothing was heard of it, s: events about quota come by no watch.
LOOK_S = 5.0
REQUEST_S = 20.0


class Unreachable(Exception):
    """The API server did not answer, or could not: try again."""


@dataclass(frozen=True)
class Seen:
    """A Job at one moment. `finished`: (complete or failed, reason, message); `obstacle`: (kind, why it waits)."""

    missing: bool = False
    finished: tuple[str, str, str] | None = None
    running: bool = False
    obstacle: tuple[str, str] | None = None


@contextlib.contextmanager
def reaching():
    """Errors of the network, of a restarting server and of throttling become Unreachable."""
    try:
        yield
    except ApiException as error:
        if error.status in (0, 429) or error.status >= 500:
            raise Unreachable(f"{error.status} {error.reason}") from error
        raise
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise Unreachable(f"{type(error).__name__} {error}") from error


class Watched:
    """The Jobs and pods of one namespace, kept current while anybody looks."""

    def __init__(self, connection: str | None, namespace: str) -> None:
        self.namespace, self.hook = namespace, AsyncKubernetesHook(conn_id=connection)
        self.jobs: dict[str, Any] = {}
        self.pods: dict[str, dict[str, Any]] = defaultdict(dict)
        self.listed = asyncio.Event()
        self.changed = asyncio.Condition()
        self.users = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch."""
        self._tasks = [
            asyncio.create_task(self._stream("list_namespaced_job", api.BatchV1Api, self._job)),
            asyncio.create_task(self._stream("list_namespaced_pod", api.CoreV1Api, self._pod)),
        ]

    def stop(self) -> None:
        """End it."""
        for task in self._tasks:
            task.cancel()

    def _job(self, kind: str, job: Any) -> None:
        if kind == "DELETED":
            self.jobs.pop(job.metadata.name, None)
        else:
            self.jobs[job.metadata.name] = job

    def _pod(self, kind: str, pod: Any) -> None:
        of = (pod.metadata.labels or {}).get("job-name", "")
        if kind == "DELETED":
            self.pods[of].pop(pod.metadata.name, None)
        else:
            self.pods[of][pod.metadata.name] = pod

    async def _stream(self, call: str, group: type, take: Any) -> None:
        """List, then follow; again whenever that ends."""
        pause = 1.0
        while True:
            try:
                async with self.hook.get_conn() as connection:
                    read = getattr(group(connection), call)
                    with reaching():
                        found = await read(self.namespace, label_selector=SELECTOR, _request_timeout=REQUEST_S)
                    if group is api.BatchV1Api:
                        self.jobs = {job.metadata.name: job for job in found.items}
                        self.listed.set()
                    else:
                        self.pods.clear()
                        for pod in found.items:
                            take("ADDED", pod)
                    await self._tell()
                    pause = 1.0
                    follow = watch.Watch().stream(
                        read, self.namespace, label_selector=SELECTOR,
                        resource_version=found.metadata.resource_version, timeout_seconds=STREAM_S,
                    )  # fmt: skip
                    async for event in follow:
                        take(event["type"], event["object"])
                        await self._tell()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever breaks a stream, the next list mends
                LOG.info("watch of %s broke (%s: %s); listing anew", call, type(error).__name__, str(error)[:200])
                await asyncio.sleep(pause)
                pause = min(5.0, pause * 1.5)

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def wait(self, seconds: float) -> None:
        """Until something changes, or for so long."""
        async with self.changed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), seconds)


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
    """Calls about one namespace's Jobs; each raises Unreachable where the server does not answer."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.namespace = watched, watched.namespace

    async def create(self, job: dict[str, Any]) -> bool:
        """Create a Job; False when it is there. Jobs of earlier attempts at its task that still run are deleted first:
        two attempts at a time would only wait for each other's commits."""
        labels = job["metadata"]["labels"]
        async with self._batch() as batch:
            same = f"{SELECTOR},winnow/task={labels['winnow/task']}"
            before = await batch.list_namespaced_job(self.namespace, label_selector=same, _request_timeout=REQUEST_S)
            for other in before.items:
                if other.metadata.name != job["metadata"]["name"] and not _finished(other):
                    await self._delete(batch, other.metadata.name)
            try:
                made = await batch.create_namespaced_job(self.namespace, job, _request_timeout=REQUEST_S)
            except ApiException as error:
                if error.status == 409:
                    return False
                raise
            self.watched.jobs.setdefault(made.metadata.name, made)
            return True

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
        absent = 0
        while True:
            await self.watched.listed.wait()
            job = self.watched.jobs.get(name)
            if job is None:
                absent += 1  # a list may be older than the Job: gone is what is gone twice
                if absent > 2 and await self._is_gone(name):
                    yield Seen(missing=True)
                    return
                await self.watched.wait(1.0)
                continue
            absent = 0
            ended = _finished(job)
            if ended:
                yield Seen(finished=ended)
                return
            pods = list(self.watched.pods.get(name, {}).values())
            if any(pod.status.phase == "Running" for pod in pods):
                yield Seen(running=True)
            else:
                yield Seen(obstacle=_obstacle(pods) or (None if pods else await self._refused(name)))
            await self.watched.wait(LOOK_S)

    async def _is_gone(self, name: str) -> bool:
        with contextlib.suppress(Unreachable):
            async with self._batch() as batch:
                try:
                    self.watched.jobs[name] = await batch.read_namespaced_job(
                        name, self.namespace, _request_timeout=REQUEST_S
                    )
                except ApiException as error:
                    return error.status == 404
        return False

    async def _refused(self, name: str) -> tuple[str, str] | None:
        """Why a Job without pods gets none, by its events: a quota, an admission."""
        with contextlib.suppress(Unreachable, ApiException):
            async with self._core() as core:
                found = await core.list_namespaced_event(
                    self.namespace, field_selector=f"involvedObject.name={name}", _request_timeout=REQUEST_S
                )
                for event in found.items:
                    if event.reason == "FailedCreate":
                        return "quota", event.message or "its pod was refused"
        return None

    async def log_lines(self, name: str) -> AsyncIterator[str]:
        """The log of the Job's pod while it runs, and what it wrote before; the next pod's when it gets another."""
        read: set[str] = set()
        while True:
            job = self.watched.jobs.get(name)
            pods = [p for p in self.watched.pods.get(name, {}).values() if p.metadata.name not in read]
            ready = [p for p in pods if p.status.phase in ("Running", "Succeeded", "Failed")]
            if ready:
                pod = ready[0].metadata.name
                read.add(pod)
                with contextlib.suppress(Exception):
                    async with self.watched.hook.get_conn() as connection:
                        response = await api.CoreV1Api(connection).read_namespaced_pod_log(
                            pod, self.namespace, follow=True, _preload_content=False, _request_timeout=None
                        )
                        async for line in response.content:
                            yield line.decode("utf-8", "replace").rstrip()
                continue
            if job is not None and _finished(job):
                return
            await self.watched.wait(LOOK_S)

    async def ending(self, name: str, lines: int) -> dict[str, Any]:
        """How the Job's last pod ended: exit code, termination message, whether it ran out of memory, its log's end."""
        async with self._core() as core:
            found = await core.list_namespaced_pod(
                self.namespace, label_selector=f"job-name={name}", _request_timeout=REQUEST_S
            )
            pods = sorted(found.items, key=lambda pod: str(pod.metadata.creation_timestamp))
            if not pods:
                return {"exit_code": None, "tail": []}
            pod = pods[-1]
            ended = _terminated(pod)
            tail = ""
            with contextlib.suppress(ApiException):
                # Raw: a log that is one JSON object would come back parsed, and printed as Python.
                response = await core.read_namespaced_pod_log(
                    pod.metadata.name, self.namespace, tail_lines=lines, _preload_content=False
                )
                tail = (await response.read()).decode("utf-8", "replace")
            limits = pod.spec.containers[0].resources.limits or {}
            return {
                "exit_code": ended.exit_code if ended else None,
                "termination": ended.message if ended else None,
                "oom": bool(ended and ended.reason == "OOMKilled"),
                "memory": limits.get("memory"),
                "tail": tail.splitlines(),
            }

    async def oom_before(self, job: dict[str, Any]) -> bool:
        """Whether an earlier attempt at the same task ran out of memory too."""
        labels = job["metadata"]["labels"]
        async with self._core() as core:
            same = f"{SELECTOR},winnow/task={labels['winnow/task']}"
            found = await core.list_namespaced_pod(self.namespace, label_selector=same, _request_timeout=REQUEST_S)
        ended = [_terminated(p) for p in found.items if p.metadata.labels["job-name"] != job["metadata"]["name"]]
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


def _finished(job: Any) -> tuple[str, str, str] | None:
    for condition in job.status.conditions or []:
        if condition.status == "True" and condition.type in ("Complete", "Failed"):
            return condition.type.lower(), condition.reason or "", condition.message or ""
    return None


def _terminated(pod: Any) -> Any:
    """How a pod's container ended, or None while it has not."""
    states = [status.state for status in pod.status.container_statuses or []]
    return next((state.terminated for state in states if state and state.terminated), None)


def _obstacle(pods: list[Any]) -> tuple[str, str] | None:
    """Why pods that are there do not run."""
    for pod in pods:
        for status in pod.status.container_statuses or []:
            waiting = status.state.waiting if status.state else None
            if waiting and waiting.reason in IMAGE_NEVER | IMAGE_MAYBE:
                kind = "image_never" if waiting.reason in IMAGE_NEVER else "image"
                return kind, f"image {status.image}: {waiting.reason} {waiting.message or ''}".strip()
        for condition in pod.status.conditions or []:
            if condition.type == "PodScheduled" and condition.status == "False":
                return "unschedulable", f"{condition.reason}: {condition.message}"
    return None
