"""The log of one pod, line by line: wherever a stream of it breaks, the next goes on after the last line that came.

A follower's connection ends for many reasons while its pod runs (an API server restarts, a proxy closes what is quiet),
so only the log of a pod that had ended before it was asked for is known to be whole. Lines carry the node's time; the
next request asks from the last one on, and what came already is left out.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
from kubernetes_asyncio.client.exceptions import ApiException

PATH = "/api/v1/namespaces/{namespace}/pods/{name}/log"
#: A stage may be silent for long and its log may be endless; a connection that has died unnoticed is silent too, and
#: asking again costs one request. The client's default, which stands for no value, ends every request after a minute.
FOLLOW = aiohttp.ClientTimeout(total=None, sock_connect=20.0, sock_read=300.0)
#: RFC 3339, to the nanosecond.
STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ")


class PodLog:
    """Where the reading of one pod's log stands: the time of the last line that came, how many came of that time."""

    def __init__(self, namespace: str, name: str) -> None:
        self.namespace, self.name = namespace, name
        self._since, self._last, self._count = "", (datetime.min.replace(tzinfo=UTC), ""), 0
        self._again, self._repeated = False, 0

    async def follow(self, connection: Any, ended: bool) -> AsyncIterator[str]:
        """The lines that are new, until the stream ends or breaks; a last one without its end only if the pod had
        `ended`. It breaks with aiohttp's errors, a refusal is an ApiException."""
        query = [("follow", "true"), ("timestamps", "true")]
        if self._since:
            query.append(("sinceTime", self._since))  # which the client's own method does not know
        self._again, self._repeated = bool(self._since), 0
        response = await connection.call_api(
            PATH,
            "GET",
            {"namespace": self.namespace, "name": self.name},
            query,
            {"Accept": "*/*"},
            auth_settings=["BearerToken"],
            _preload_content=False,
            _request_timeout=FOLLOW,
        )
        async with response:
            if response.status != 200:
                raise ApiException(status=response.status, reason=response.reason)
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(self._is_new, lines):
                    yield _text(line)
            if ended and rest and self._is_new(rest):
                yield _text(rest)

    def _is_new(self, line: bytes) -> bool:
        """Whether no earlier request has brought this line."""
        found = STAMP.match(line)
        if not found:
            return True
        at = _moment(found)
        if self._again:
            if at < self._last:
                return False
            if at == self._last and self._repeated < self._count:
                self._repeated += 1
                return False
            self._again = False
        self._count = self._count + 1 if at == self._last else 1
        self._last, self._since = at, found[0].decode().strip()
        return True


def _moment(stamp: re.Match[bytes]) -> tuple[datetime, str]:
    return datetime.fromisoformat((stamp[1] + stamp[3]).decode()), (stamp[2] or b"").decode().ljust(9, "0")


def _text(line: bytes) -> str:
    return STAMP.sub(b"", line, count=1).decode("utf-8", "replace").rstrip()
