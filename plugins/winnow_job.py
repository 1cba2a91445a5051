"""The life of one Job: created or found, watched, read, and deleted when its task is killed; all in the triggerer.

A task on Kubernetes does nothing on its worker but build a Job (winnow_pod.py) and defer. The trigger creates the Job,
or finds the one that an earlier start of the same attempt has created, waits for the Job (never for a pod: a drained
node may cost a Job its pod and not its life), copies the pod's log to the task's log while it runs, and ends with one
event: what became of it, its exit code, its summary. `outcome()` turns the event into Airflow's success, retry or
failure. So a worker needs no Kubernetes client, and a triggerer loads it once for all tasks.

The API server may be away: every call is tried again until it answers, because the Job runs on meanwhile. What ends a
wait for good is the Job's own deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from winnow_pod import PERMANENT_EXIT_CODES, QUEUE_S

if TYPE_CHECKING:
    from winnow_kube import Client

#: Obstacles that end an attempt at once, and those that may pass, but hardly after PATIENCE_S, s: a registry that is
#: away, an API server that has just started. Waiting in a queue may last QUEUE_S, the others `pending_s`.
AT_ONCE = {"image_never", "refused"}
SOON = {"image", "config", "admission", "unconnected", "forbidden"}
PATIENCE_S = 120.0
#: What every pod goes through is said only when it has lasted, s.
QUIET_S = 15.0
#: How often it is said that an obstacle is still there, s.
SAY_S = 60.0
#: How long a log may take to arrive whole once its Job has ended, s; it never decides anything.
LOG_S = 30.0
#: Lines of a pod's log that an event brings along, for the task's log on failure.
TAIL_LINES = 60


class JobTrigger(BaseTrigger):
    """Owns one Job from its creation to its end.

    :param job: the Job, as `winnow_pod.job` makes it.
    :param connection: Airflow connection of the cluster; None for the kubeconfig or service account of the triggerer.
    :param pending_s: how long its pod may wait for quota, a node or its container before the attempt is given up; the
        time in a queue does not count.
    """

    def __init__(self, job: dict[str, Any], connection: str | None = None, pending_s: float = 3600.0) -> None:
        super().__init__()
        self.job, self.connection, self.pending_s = job, connection, pending_s
        self.name = job["metadata"]["name"]
        self.namespace = job["metadata"]["namespace"]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and what makes it again in another triggerer."""
        kwargs = {"job": self.job, "connection": self.connection, "pending_s": self.pending_s}
        return "winnow_job.JobTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Create or adopt the Job, see it to its end, say what became of it."""
        from winnow_kube import client
        from winnow_watch import Refused

        async with client(self.connection, self.namespace) as cluster:
            try:
                event = await self._see_through(cluster)
            except Refused as error:
                event = {"outcome": error.kind, "job": self.name, "message": str(error), "waited_s": error.waited_s}
        yield TriggerEvent(event)

    async def _see_through(self, cluster: Client) -> dict[str, Any]:
        created = await self._persist("create the Job", lambda: cluster.create(self.job))
        self.log.info(
            "%s Job %s in namespace %s: kubectl -n %s get job %s",
            "created" if created else "found",
            self.name,
            self.namespace,
            self.namespace,
            self.name,
        )
        logs = asyncio.create_task(self._copy_log(cluster))
        try:
            event = await self._wait(cluster)
            if event["outcome"] in ("complete", "failed"):
                await asyncio.wait([logs], timeout=LOG_S)
        finally:
            logs.cancel()
        if event["outcome"] not in ("complete", "failed"):
            await self._persist("delete the Job", lambda: cluster.delete(self.name))
        else:
            event |= await self._persist("read the pod", lambda: cluster.ending(self.name, TAIL_LINES))
            if event.get("oom"):
                memory = event["memory"]
                oom_before = await self._persist("read attempts", lambda: cluster.oom_before(self.job, memory))
                event["oom_before"] = oom_before
        return event

    async def on_kill(self) -> None:
        """A person cleared, failed or marked the task: its Job and pod go."""
        from winnow_kube import client

        async with client(self.connection, self.namespace) as cluster:
            await self._persist("delete the Job", lambda: cluster.delete(self.name))
        self.log.info("deleted Job %s: its task was killed", self.name)

    async def _persist(self, what: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of the API server, however long it is away; Refused where it goes on saying no."""
        from winnow_watch import Refused, Unreachable

        began, said_at, said = time.monotonic(), 0.0, ""
        # s, by kind: a server that was away for long has refused nothing meanwhile
        refused: defaultdict[str, float] = defaultdict(float)
        while True:
            now = time.monotonic()
            try:
                return await call()
            except (Refused, Unreachable) as error:
                pause = min(5.0, 1.0 + (now - began) / 10)
                if isinstance(error, Refused):
                    if refused[error.kind] >= self._patience(error.kind):
                        error.waited_s = round(refused[error.kind])
                        raise
                    refused[error.kind] += pause
                if str(error) != said or now - said_at > SAY_S:
                    self.log.warning("cannot %s yet (%.0f s): %s", what, now - began, error)
                    said, said_at = str(error), now
                await asyncio.sleep(pause)

    def _patience(self, kind: str) -> float:
        """How long an obstacle may last, s."""
        if kind in AT_ONCE:
            return 0.0
        return PATIENCE_S if kind in SOON else QUEUE_S if kind == "queue" else self.pending_s

    async def _wait(self, cluster: Client) -> dict[str, Any]:
        """What became of the Job."""
        waiting_since = kind_since = time.monotonic()
        kind = said = ""
        async for seen in cluster.follow(self.name):
            if seen.missing:
                return {"outcome": "gone", "job": self.name, "message": "the Job was deleted by somebody else"}
            if seen.finished:
                end, reason, message = seen.finished
                return {"outcome": end, "job": self.name, "reason": reason, "message": message}
            now, before = time.monotonic(), kind
            waiting_since, kind_since = waiting_since + seen.away_s, kind_since + seen.away_s
            kind, why = ("", "") if seen.running else seen.obstacle or ("pending", "no running pod, and no reason why")
            if kind != before:
                kind_since = now
            if kind in ("", "queue"):
                waiting_since = now
            if not kind:
                continue
            waited = now - (kind_since if kind in SOON or kind == "queue" else waiting_since)
            if why != said and (waited >= QUIET_S or kind not in ("pending", "starting")):
                self.log.info("waiting: %s", why)
                said = why
            if waited >= self._patience(kind) or now - waiting_since >= self.pending_s:
                return {"outcome": kind, "job": self.name, "message": why, "waited_s": round(waited)}
        raise AssertionError("a followed Job ends")

    async def _copy_log(self, cluster: Client) -> None:
        """The pod's log, line by line as it is written."""
        async for line in cluster.log_lines(self.name):
            self.log.info("%s", line)


def outcome(event: dict[str, Any], what: str) -> dict[str, Any]:  # noqa: C901 (one way out a reason)
    """The summary of a command that succeeded; else the exception that makes Airflow retry or fail, with what happened
    and what to do."""
    name, message = event.get("job", "?"), event.get("message") or ""
    found, tail = event["outcome"], "\n".join(event.get("tail") or [])
    log = f"\nThe end of the pod's log:\n{tail}" if tail else "\nThe pod left no log."
    if found == "complete":
        return summary(event)
    if found == "unconnected":
        raise AirflowFailException(
            f"{what}: the triggerer does not know its cluster ({message}). In a pod its service account's token is "
            "enough; elsewhere set KUBECONFIG or WINNOW_KUBERNETES_CONN"
        )
    if found == "refused":
        raise AirflowFailException(f"{what}: the cluster refuses it: {message}")
    if found == "forbidden":
        raise AirflowException(
            f"{what}: the cluster does not let Airflow do this: {message}. Tried for {event['waited_s']} s; its rights "
            "are those of the account winnow-airflow: k8s/base/accounts.yaml"
        )
    if found == "image_never":
        raise AirflowFailException(
            f"{what}: {message}. The node has no such image and may not pull it: `make images`, push or load it, and "
            "set WINNOW_IMAGES and WINNOW_TAG to what was built"
        )
    if found == "image":
        raise AirflowException(
            f"{what}: {message}. Is it pushed (WINNOW_IMAGES, WINNOW_TAG), and may the node's runtime pull it "
            f"(imagePullSecrets of the service account winnow-stage)? Tried for {event['waited_s']} s"
        )
    if found == "config":
        raise AirflowException(
            f"{what}: {message}. Where a ConfigMap or Secret is missing, the overlay that makes it is not applied: "
            f"`kubectl apply -k k8s/overlays/…`; its first lines name the Secret. Tried for {event['waited_s']} s"
        )
    if found == "admission":
        raise AirflowException(
            f"{what}: the cluster admits no such pod: {message}. Accounts, priorities, limits and labels of the "
            f"namespace are those of k8s/base: `kubectl apply -k k8s/overlays/…`. Tried for {event['waited_s']} s"
        )
    if found == "starting":
        raise AirflowException(
            f"{what} waited {event['waited_s']} s for its container: {message}. Are the claims of WINNOW_VOLUMES "
            "bound, and can its node mount them? `kubectl describe pod` says more while it is there"
        )
    if found == "queue":
        raise AirflowException(
            f"{what} waited {event['waited_s']} s: {message}. Raise the quota (k8s/components/kueue/queues.yaml), or "
            "run fewer parts at once"
        )
    if found in ("quota", "unschedulable", "pending"):
        raise AirflowException(
            f"{what} waited {event['waited_s']} s for a place to run: {message}. Raise the quota "
            "(k8s/base/quota.yaml), add nodes of the class that its pod asks for (k8s/pods), or run fewer parts at once"
        )
    if found == "gone":
        raise AirflowException(f"{what}: {message} (Job {name}); a retry starts it again, finished shards are skipped")
    if event.get("reason") == "DeadlineExceeded":
        raise AirflowException(
            f"{what} was still running at its deadline and was ended ({message}); finished shards are kept. Use more "
            f"parts, or raise DEADLINE_S (plugins/winnow_pod.py).{log}"
        )
    if event.get("oom"):
        more = (
            f"{what} needed more memory than its limit, {event.get('memory')}, and was killed (OOMKilled). Use smaller "
            "shards or raise memory_mb in the stage's `resources` (winnow_pod.COMMANDS for other commands)"
        )
        if event.get("oom_before"):
            raise AirflowFailException(f"{more}. It was killed so before: no further retry.{log}")
        raise AirflowException(f"{more}. One retry, in case a neighbour was to blame.{log}")
    code = event.get("exit_code")
    if code is None:
        raise AirflowException(f"{what}: its pod is gone and left no exit code ({message}); a retry may help.{log}")
    if code in PERMANENT_EXIT_CODES:
        raise AirflowFailException(f"{what} ended with exit code {code}; a retry would repeat it.{log}")
    raise AirflowException(f"{what} ended with exit code {code}; a retry may help.{log}")


def summary(event: dict[str, Any]) -> dict[str, Any]:
    """The command's answer: the pod's termination message, or where it was too long for one, the log's last line."""
    for text in (event.get("termination") or "", *reversed(event.get("tail") or [])):
        if text.startswith("{"):
            with contextlib.suppress(json.JSONDecodeError):
                return json.loads(text)
    return {}
