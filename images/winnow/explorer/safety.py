"""What every request passes before a page sees it, and every answer before a browser does.

The explorer has no login of its own: alone it listens on the loopback address, inside Airflow it stands behind
Airflow's login. A browser on the same machine may still carry other pages, so a request must name a host that we
answer for (a foreign name that resolves to 127.0.0.1 is refused), and a form must carry a token that only our own pages
could have read, and come from one of them as far as the browser says (`Sec-Fetch-Site`, else `Origin`).

A request that stops coming is dropped: its body here, what comes before it in `winnow.explorer.server`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from starlette.responses import PlainTextResponse

Scope = MutableMapping[str, Any]
Channel = Callable[..., Awaitable[Any]]

#: Largest body of a request, bytes. A form of the explorer has a few hundred.
MAX_BODY_BYTES = 16 * 1024
#: How long a request may take to arrive, s.
STALLED_S = 30.0
SESSION_COOKIE = "winnow_explorer"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_SESSION = re.compile(r"[0-9a-f]{32}\Z")


class Guard:
    """ASGI middleware: bounds bodies, checks the host's name, sets the headers. `hosts` are the names that are answered
    (None: the server in front of us checks them); `framed` lets pages of the same origin show ours in a frame."""

    def __init__(self, app: Channel, *, hosts: Iterable[str] | None = None, framed: bool = False) -> None:
        self.app = app
        self.hosts = None if hosts is None else {host.lower() for host in hosts}
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; media-src 'self'; img-src 'self' data:; "
            f"form-action 'self'; base-uri 'none'; frame-ancestors {chr(39)}{'self' if framed else 'none'}{chr(39)}"
        )
        self.headers = {
            b"content-security-policy": policy.encode(),
            b"x-content-type-options": b"nosniff",
            b"x-frame-options": b"SAMEORIGIN" if framed else b"DENY",
            b"referrer-policy": b"same-origin",
            b"cross-origin-resource-policy": b"same-origin",
        }

    async def __call__(self, scope: Scope, receive: Channel, send: Channel) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def answered(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] += [(name, value) for name, value in self.headers.items() if name not in given]
                if b"cache-control" not in given:
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        if self.hosts is not None and _host(scope) not in self.hosts:
            refused = PlainTextResponse("this server does not answer for that host name", 421)
            await refused(scope, receive, answered)
            return
        try:
            async with asyncio.timeout(STALLED_S):
                body = await _body(receive) if scope["method"] not in ("GET", "HEAD") else b""
        except TimeoutError:
            stopped = PlainTextResponse(f"nothing more came within {STALLED_S:g} s", 408, {"connection": "close"})
            await stopped(scope, receive, answered)
            return
        if body is None:
            await PlainTextResponse(f"a body has at most {MAX_BODY_BYTES} bytes", 413)(scope, receive, answered)
            return
        await self.app(scope, _replay(body, receive), answered)


def _host(scope: Scope) -> str:
    """The host's name in a request, without its port."""
    given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    return re.sub(r":\d+\Z", "", given).lower()


async def _body(receive: Channel) -> bytes | None:
    """A request's whole body; None when it is larger than a form can be."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return body


def _replay(body: bytes, receive: Channel) -> Channel:
    """A channel that gives a body that was read already, then what comes after it."""
    given = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


# -- forms -------------------------------------------------------------------------------------------------------------
def session_of(request: Request) -> str | None:
    """The session that the browser carries, if it looks like one of ours."""
    found = request.cookies.get(SESSION_COOKIE, "")
    return found if _SESSION.match(found) else None


def new_session() -> str:
    """A fresh session: a random number that only this browser knows."""
    return secrets.token_hex(16)


def token_of(session: str) -> str:
    """The token that forms of a session carry: derived from it, so that several processes agree without a secret."""
    return hmac.new(session.encode(), b"winnow explorer form", hashlib.sha256).hexdigest()


def _from_us(request: Request) -> bool:
    """Whether the browser says that one of our own pages sent this; older ones name that page's origin, if anything."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin is None or urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()


def check_form(request: Request, token: str) -> None:
    """HTTPException 403 unless a form was sent from one of our own pages in the same browser."""
    session = session_of(request)
    if session is None or not _from_us(request) or not hmac.compare_digest(token.encode(), token_of(session).encode()):
        raise HTTPException(403, "This form is not of this browser's session. Load the page again and answer anew.")
