"""Watches that all triggers of a triggerer share: of Jobs, of pods, of warnings about them, in one namespace.

Two hundred waiting tasks cost the API server three streams, and each of them hears of its own Job at once. Where a
stream breaks (the server restarts, a resource version is too old) it is listed anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections import defaultdict
from typing import Any

import aiohttp
from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook
from kubernetes_asyncio import client as api
from kubernetes_asyncio import watch
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.config import ConfigException

from winnow_pod import MANAGED

LOG = logging.getLogger(__name__)
SELECTOR = ",".join(f"{key}={value}" for key, value in MANAGED.items())
#: Why a Job gets no pod (a quota is full, an admission refuses), or its pod no container (a volume is not there).
WARNINGS = "type=Warning"
#: A stream is renewed this often, s: a broken connection that nobody closed is noticed by then.
STREAM_S = 60
REQUEST_S = 20.0


class Unreachable(Exception):
    """The API server did not answer, or could not: try again."""


class Refused(Exception):
    """What was asked for is not given. `kind`, as in an event's `outcome`: unconnected (nothing says where the cluster
    is, or who asks), quota, forbidden (a server that has just started may say so to anybody), refused."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.waited_s = kind, 0


@contextlib.contextmanager
def reaching():
    """Errors of the network, of a restarting server, of throttling and of writers in each other's way (409) become
    Unreachable; a server that says no, and a way to it that nothing describes, become Refused."""
    try:
        yield
    except ConfigException as error:
        raise Refused("unconnected", str(error)) from error
    except ApiException as error:
        status, said = error.status or 0, f"{error.status} {status_of(error).get('message') or error.reason}"
        if status in (0, 409, 429) or status >= 500:
            raise Unreachable(said) from error
        kind = "quota" if "exceeded quota" in said else "forbidden" if status in (401, 403) else "refused"
        raise Refused(kind, said) from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise Unreachable(f"{type(error).__name__} {error}") from error


def status_of(error: ApiException) -> dict[str, Any]:
    """The server's own words, a `Status` object with `reason` and `message`; {} where its answer is none."""
    with contextlib.suppress(TypeError, ValueError):
        found = json.loads(error.body or "")
        return found if isinstance(found, dict) else {}
    return {}


def is_in_pod() -> bool:
    """Whether the pod's own account is the way to the cluster: in a pod, and no kubeconfig says otherwise. The hook
    looks for it only where it is told to."""
    kubeconfig = "KUBECONFIG" in os.environ or os.path.exists(os.path.expanduser("~/.kube/config"))
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and not kubeconfig


def uid(thing: Any) -> str | None:
    """What tells an object from another of the same name."""
    return thing.metadata.uid if thing else None


class Watched:
    """The Jobs and pods of one namespace, kept current while anybody looks."""

    def __init__(self, connection: str | None, namespace: str) -> None:
        in_cluster = True if connection is None and is_in_pod() else None
        self.namespace, self.hook = namespace, AsyncKubernetesHook(conn_id=connection, in_cluster=in_cluster)
        self.jobs: dict[str, Any] = {}
        self.pods: dict[str, dict[str, Any]] = defaultdict(dict)
        self.warnings: dict[str, tuple[str, str]] = {}
        self.listed = asyncio.Event()  # not while a stream is broken: what is known may be old
        self._unknown = {"list_namespaced_job", "list_namespaced_pod"}
        self._waiting: dict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self.users = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch."""
        self._tasks = [
            asyncio.create_task(
                self._stream("list_namespaced_job", api.BatchV1Api, self._job, label_selector=SELECTOR)
            ),
            asyncio.create_task(self._stream("list_namespaced_pod", api.CoreV1Api, self._pod, label_selector=SELECTOR)),
            asyncio.create_task(
                self._stream("list_namespaced_event", api.CoreV1Api, self._event, field_selector=WARNINGS)
            ),
        ]

    def stop(self) -> None:
        """End it."""
        for task in self._tasks:
            task.cancel()

    def _job(self, kind: str, job: Any) -> str:
        if kind == "DELETED":
            if uid(self.jobs.get(job.metadata.name)) == uid(job):  # not another's of the same name, made since
                del self.jobs[job.metadata.name]
        else:
            self.jobs[job.metadata.name] = job
        return job.metadata.name

    def _pod(self, kind: str, pod: Any) -> str:
        of = (pod.metadata.labels or {}).get("job-name", "")
        if kind == "DELETED":
            self.pods[of].pop(pod.metadata.name, None)
        else:
            self.pods[of][pod.metadata.name] = pod
        return of

    def _event(self, kind: str, event: Any) -> str:
        about, at = event.involved_object, str(event.last_timestamp or event.event_time or "")
        if kind != "DELETED" and at >= self.warnings.get(about.uid, ("", ""))[0]:
            self.warnings[about.uid] = (at, f"{event.reason}: {event.message}")
        return about.name if about.kind == "Job" else ""  # a pod's own changes wake its Job

    def warning(self, thing: Any) -> str:
        """The last warning about an object, `reason: message`; '' where there is none."""
        return self.warnings.get(uid(thing) or "", ("", ""))[1]

    async def _stream(self, call: str, group: type, take: Any, **which: str) -> None:
        """List, then follow; again whenever that ends."""
        pause = 1.0
        held = {self._job: self.jobs, self._pod: self.pods, self._event: self.warnings}[take]
        while True:
            try:
                async with self.hook.get_conn() as connection:
                    read = getattr(group(connection), call)
                    with reaching():
                        found = await read(self.namespace, **which, _request_timeout=REQUEST_S)
                    held.clear()
                    for one in found.items:
                        take("ADDED", one)
                    self._unknown.discard(call)
                    if not self._unknown:
                        self.listed.set()
                    self._tell(*list(self._waiting))
                    pause = 1.0
                    follow = watch.Watch().stream(
                        read,
                        self.namespace,
                        **which,
                        resource_version=found.metadata.resource_version,
                        timeout_seconds=STREAM_S,
                    )
                    async for event in follow:
                        self._tell(take(event["type"], event["object"]))
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever breaks a stream, the next list mends
                if held is not self.warnings:
                    self._unknown.add(call)
                    self.listed.clear()
                LOG.info("watch of %s broke (%s: %s); listing anew", call, type(error).__name__, str(error)[:200])
                await asyncio.sleep(pause)
                pause = min(5.0, pause * 1.5)

    def _tell(self, *names: str) -> None:
        """Wake who waits for these Jobs, and nobody else: two hundred that woke each other would take a core."""
        for name in names:
            for heard in self._waiting.pop(name, ()):
                if not heard.done():
                    heard.set_result(None)

    async def wait(self, name: str, seconds: float) -> None:
        """Until something of a Job changes, or for so long."""
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[name].add(heard)
        try:
            await asyncio.wait([heard], timeout=seconds)
        finally:
            self._waiting[name].discard(heard)
            if not self._waiting[name]:
                del self._waiting[name]
