"""A Kubernetes API server with nothing behind it: what the trigger asks for (Jobs, pods, events, logs), over HTTP.

Tests play the controllers and the kubelet: they put objects, and say what the server answers and where a log breaks.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from aiohttp import web

Thing = dict[str, Any]


class FakeCluster:
    """One server for an `async with` block; KUBECONFIG names the file that it writes.

    refusals: (status, reason, message) of the next answers to a creation; broken: of a pod, after how many lines the
    connection is cut, once each; asked: queries of all requests for a log; away: whether nothing is answered.
    """

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Thing]] = {"jobs": {}, "pods": {}, "events": {}}
        self.logs: dict[str, list[str]] = defaultdict(list)
        self.refusals: list[tuple[int, str, str]] = []
        self.broken: dict[str, list[int]] = defaultdict(list)
        self.asked: list[dict[str, str]] = []
        self.created: list[Thing] = []
        self._versions = itertools.count(1)
        self.away = False
        self._history: dict[str, list[tuple[int, Thing]]] = defaultdict(list)

    async def __aenter__(self) -> FakeCluster:
        application = web.Application(middlewares=[self._answer])
        jobs, core = "/apis/batch/v1/namespaces/winnow/jobs", "/api/v1/namespaces/winnow"
        application.add_routes(
            [
                web.get(jobs, self._list),
                web.post(jobs, self._create),
                web.get(jobs + "/{name}", self._read),
                web.delete(jobs + "/{name}", self._delete),
                web.get(core + "/{kind:pods|events}", self._list),
                web.get(core + "/pods/{name}/log", self._log),
            ]
        )
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        view = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": f"http://{host}:{port}"}}],
            "users": [{"name": "it", "user": {}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }
        Path(os.environ["KUBECONFIG"]).write_text(json.dumps(view))
        return self

    async def __aexit__(self, *about: object) -> None:
        await self._runner.cleanup()

    def put(self, kind: str, thing: Thing) -> Thing:
        """Make or change an object; who watches hears of it."""
        meta = thing["metadata"]
        event = "MODIFIED" if meta["name"] in self.held[kind] else "ADDED"
        version = next(self._versions)
        meta.setdefault("uid", f"uid-{version}")
        meta.setdefault("creationTimestamp", f"2026-11-01T00:00:{version % 60:02d}Z")
        meta["resourceVersion"] = str(version)
        self.held[kind][meta["name"]] = thing
        self._history[kind].append((version, copy.deepcopy({"type": event, "object": thing})))
        return thing

    def remove(self, kind: str, name: str) -> None:
        """Delete an object."""
        gone = {"type": "DELETED", "object": self.held[kind].pop(name)}
        self._history[kind].append((next(self._versions), gone))

    def pod(self, job: Thing, name: str, phase: str, container: Thing | None = None, **status: Any) -> Thing:
        """A pod of a Job; `container` is the state of its container."""
        states = [{"name": "winnow", "image": "it", "imageID": "", "ready": False, "restartCount": 0}]
        meta, spec = job["metadata"], job["spec"]["template"]["spec"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
        return self.put(
            "pods",
            {
                "metadata": {
                    "name": name,
                    "labels": {**meta["labels"], "job-name": meta["name"]},
                    "ownerReferences": [owner],
                },
                "spec": spec,
                "status": {
                    "phase": phase,
                    "containerStatuses": [states[0] | {"state": container}] if container else [],
                    **status,
                },
            },
        )

    def exited(self, job: Thing, name: str, code: int, message: str = "", reason: str = "") -> None:
        """A pod's container ended."""
        state = {"exitCode": code, "message": message, "reason": reason or ("Error" if code else "Completed")}
        self.pod(job, name, "Failed" if code else "Succeeded", {"terminated": state})

    def finish(self, job: Thing, condition: str = "Complete", **more: str) -> None:
        """The Job ended."""
        self.put("jobs", {**job, "status": {"conditions": [{"type": condition, "status": "True", **more}]}})

    def warn(self, about: Thing, kind: str, reason: str, message: str) -> None:
        """An event about an object."""
        involved = {"kind": kind, "name": about["metadata"]["name"], "uid": about["metadata"]["uid"]}
        self.put(
            "events",
            {
                "metadata": {"name": f"event-{next(self._versions)}"},
                "involvedObject": involved,
                "type": "Warning",
                "reason": reason,
                "message": message,
                "lastTimestamp": "2026-11-01T00:00:00Z",
            },
        )

    async def until(self, what: Any) -> Any:
        """The first true value of `what()`; AssertionError after 20 s."""
        for _ in range(400):
            if value := what():
                return value
            await asyncio.sleep(0.05)
        raise AssertionError("nothing came of it")

    async def job(self, number: int = 1) -> Thing:
        """The Job that is created as the `number`th."""
        await self.until(lambda: len(self.created) >= number)
        return self.created[number - 1]

    @web.middleware
    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        return _status(503, "ServiceUnavailable", "away") if self.away else await handler(request)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        kind = request.match_info.get("kind", "jobs")
        if "watch" not in request.query:
            wanted = [pair.split("=") for pair in request.query.get("labelSelector", "").split(",") if pair]
            items = [
                one
                for one in self.held[kind].values()
                if all(one["metadata"].get("labels", {}).get(key) == value for key, value in wanted)
            ]
            return web.json_response({"metadata": {"resourceVersion": str(next(self._versions))}, "items": items})
        response, told = web.StreamResponse(), int(request.query["resourceVersion"])
        await response.prepare(request)
        while not self.away:
            for version, event in self._history[kind]:
                if version > told:
                    await response.write(json.dumps(event).encode() + b"\n")
                    told = version
            await asyncio.sleep(0.02)
        request.transport.abort()
        return response

    async def _create(self, request: web.Request) -> web.Response:
        job = await request.json()
        if self.refusals:
            return _status(*self.refusals.pop(0))
        if job["metadata"]["name"] in self.held["jobs"]:
            return _status(409, "AlreadyExists", f'jobs.batch "{job["metadata"]["name"]}" already exists')
        self.created.append(self.put("jobs", {**job, "status": {}}))
        return web.json_response(self.created[-1], status=201)

    async def _read(self, request: web.Request) -> web.Response:
        found = self.held["jobs"].get(request.match_info["name"])
        return web.json_response(found) if found else _status(404, "NotFound", "not found")

    async def _delete(self, request: web.Request) -> web.Response:
        if request.match_info["name"] not in self.held["jobs"]:
            return _status(404, "NotFound", "not found")
        self.remove("jobs", request.match_info["name"])
        return web.json_response({"kind": "Status", "status": "Success"})

    async def _log(self, request: web.Request) -> web.StreamResponse:
        """Lines are `<RFC 3339 stamp> <text>`; a follower gets them until its pod has ended."""
        name, query = request.match_info["name"], dict(request.query)
        self.asked.append(query)
        if name not in self.held["pods"]:
            return _status(404, "NotFound", f'pods "{name}" not found')
        response = web.StreamResponse()
        await response.prepare(request)
        since = query.get("sinceTime", "")[:19]  # a kubelet knows whole seconds
        cut = self.broken[name].pop(0) if "follow" in query and self.broken[name] else None
        sent = 0
        while True:
            ended = self.held["pods"].get(name, {"status": {"phase": "Failed"}})["status"]["phase"] != "Running"
            for line in self.logs[name][sent:]:
                if sent == cut:
                    await response.write(line.encode()[: len(line) // 2])
                    request.transport.abort()
                    return response
                if line[:19] >= since:
                    text = line if query.get("timestamps") else line.partition(" ")[2]
                    await response.write(text.encode() + b"\n")
                sent += 1
            if ended or "follow" not in query:
                return response
            await asyncio.sleep(0.02)


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return web.json_response(body, status=code)
