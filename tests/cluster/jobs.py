"""One Job through the trigger, without Airflow: what a task sees of its life."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock

import winnow_job
import winnow_pod

Change = Callable[[dict[str, Any]], None]
_numbers = iter(range(1, 10_000))


def make(arguments: list[str], change: Change = lambda job: None, *, task: str | None = None, number: int = 1) -> dict:
    """A Job of its own, changed as a test wants it."""
    cluster = winnow_pod.Cluster.from_environment()
    attempt = winnow_pod.Attempt(
        "test", "test", task or f"{arguments[0]}-{next(_numbers)}", -1, number, str(uuid.uuid4())
    )
    made = winnow_pod.job(arguments, attempt, cluster)
    change(made)
    return made


def container(job: dict[str, Any]) -> dict[str, Any]:
    """The Job's one container."""
    return job["spec"]["template"]["spec"]["containers"][0]


def runs(code: str) -> Change:
    """Have the pod run this Python instead of `winnow`."""

    def change(job: dict[str, Any]) -> None:
        container(job).update(command=["python", "-u", "-c", code], args=[])

    return change


def see_through(
    job: dict[str, Any],
    kubeconfig: Path,
    *,
    pending_s: float = 60.0,
    meanwhile: Callable[[winnow_job.JobTrigger], Awaitable[None]] | None = None,
) -> dict[str, Any]:
    """The event with which the trigger ends; `meanwhile` runs beside it."""

    async def body() -> dict[str, Any]:
        trigger = winnow_job.JobTrigger(job, None, pending_s)
        other = asyncio.create_task(meanwhile(trigger)) if meanwhile else None
        async for event in trigger.run():
            if other:
                await other
            return event.payload
        raise AssertionError("no event")

    with mock.patch.dict(os.environ, KUBECONFIG=str(kubeconfig)):
        return asyncio.run(asyncio.wait_for(body(), 240))
