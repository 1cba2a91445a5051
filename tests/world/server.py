"""Serves a world on the loopback interface, with the manners of real hosts: some links work, some do it their own way.

A plain path is a file of media/ (ranges, content types, 404). A first path segment of ROUTES misbehaves on purpose;
the plants use a few of these, the others are for tests. Lists name logical hosts (media.world.test); `rewrites` maps
them to this process's ports, so that no port ever reaches a table.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from tests.world.video import HOST, REFUSED_HOST, WATCH

TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".ts": "video/mp2t",
    ".m3u8": "application/vnd.apple.mpegurl",
}
HOLD_S = 60.0
CHUNK = 1 << 16
PAGE = "<!doctype html><html><head><title>Video unavailable</title></head><body><p>{}</p></body></html>\n"

ROUTES = {
    "redirect": "redirect/<file>: 302 to the file",
    "to-private": "to-private/<file>: 302 to http://10.0.0.1/",
    "to-metadata": "to-metadata/<file>: 302 to http://169.254.169.254/",
    "loop": "loop/<file>: 302 to itself",
    "hang": "hang/<file>: says nothing until the client goes, or for 60 s",
    "stall": "stall/<file>: half the file, then as hang",
    "cut": "cut/<file>: promises the whole file, sends half, closes",
    "drip": "drip/<file>: 1 KiB every 50 ms",
    "page": "page/<any>: an HTML page without a video",
    "watch": "watch/<file>: an HTML page with the file in a video element",
    "fail": "fail/<status>/<file>: that status, always; fail/<status>/<n>/<file>: n times, then the file",
    "youtube": "youtube/<id>: the file of that name, as if the site were this simple",
    "big": "big/<bytes>/<file>: so many zero bytes as video/mp4",
}


class WorldServer:
    """A threaded HTTP server on an address of this machine, for a `with` block; `port` 0 takes a free one.

    host: 127.0.0.1, or the address under which pods of a cluster on this machine see it.

    requests: how often each path was asked for (HEAD requests count as 'HEAD <path>'); trouble: the route that plain
    paths take for as long as it is set, as "cut" or "fail/503".
    """

    def __init__(self, root: Path | str, port: int = 0, host: str = "127.0.0.1") -> None:
        self.media, self.host = Path(root) / "media", host
        self.requests: Counter[str] = Counter()
        self.trouble = ""
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._refused = socket.socket()
        self._refused.bind((host, 0))
        self._http = _Server((host, port), _Handler)
        self._http.world = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def port(self) -> int:
        """Where it serves."""
        return int(self._http.server_address[1])

    @property
    def refused_port(self) -> int:
        """A port that refuses: bound, so that nobody else takes it, and never listening."""
        return int(self._refused.getsockname()[1])

    @property
    def url(self) -> str:
        """The root of what is served, with a slash at the end."""
        return f"http://{self.host}:{self.port}/"

    @property
    def rewrites(self) -> dict[str, str]:
        """Logical prefix → real prefix: the value of WINNOW_FETCH_REWRITES."""
        refused = f"http://{self.host}:{self.refused_port}/"
        return {HOST: self.url, REFUSED_HOST: refused, WATCH: f"{self.url}youtube/"}

    def __enter__(self) -> WorldServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._refused.close()

    def count(self, path: str) -> int:
        """Count a request; returns how often this path has now been asked for."""
        with self._lock:
            self.requests[path] += 1
            return self.requests[path]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    world: WorldServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Silent: `requests` is the log."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        times = self.server.world.count(path if self.command == "GET" else f"{self.command} {path}")
        first, _, rest = path.strip("/").partition("/")
        if self.server.world.trouble and first not in ROUTES:
            first, _, rest = f"{self.server.world.trouble}{path}".partition("/")
        # A client that goes away in the middle is that client's affair.
        with contextlib.suppress(ConnectionError, TimeoutError):
            if first in ROUTES and rest:
                getattr(self, "_" + first.replace("-", "_"))(rest, times)
            else:
                self._file(path.strip("/"))

    def _file(self, name: str, half: bool = False) -> None:
        """A file of media/, whole or the range asked for; `half` sends only half of what it promises."""
        path = self.server.world.media / name
        if "/" in name or name.startswith(".") or not path.is_file():
            self._text(404, PAGE.format("Not found"))
            return
        size = path.stat().st_size
        first, last, status = 0, size - 1, 200
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes=") and "," not in asked:
            left, _, right = asked.removeprefix("bytes=").partition("-")
            with contextlib.suppress(ValueError):
                first = int(left) if left else max(0, size - int(right))
                last = min(size - 1, int(right)) if left and right else size - 1
                status = 206
            if status == 206 and first > last:
                self._head(416, "text/plain", 0, {"Content-Range": f"bytes */{size}"})
                return
        extra = {"Accept-Ranges": "bytes"}
        if status == 206:
            extra["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._head(status, TYPES.get(path.suffix, "application/octet-stream"), last - first + 1, extra)
        if self.command == "GET":
            length = last - first + 1
            for chunk in _chunks(path, first, length // 2 if half else length):
                self.wfile.write(chunk)

    def _head(self, status: int, kind: str, length: int, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def _text(self, status: int, text: str, extra: dict[str, str] | None = None) -> None:
        body = text.encode()
        self._head(status, "text/html; charset=utf-8", len(body), extra)
        if self.command == "GET":
            self.wfile.write(body)

    def _hold(self) -> None:
        """Keep the connection without a word until the client closes it, the server stops, or HOLD_S is over."""
        self.close_connection = True
        until = time.monotonic() + HOLD_S
        while time.monotonic() < until and not self.server.world.stopping.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.1)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return

    def _redirect(self, rest: str, times: int) -> None:
        self._text(302, PAGE.format("Moved"), {"Location": f"/{rest}"})

    def _to_private(self, rest: str, times: int) -> None:
        self._text(302, PAGE.format("Moved"), {"Location": f"http://10.0.0.1/{rest}"})

    def _to_metadata(self, rest: str, times: int) -> None:
        self._text(302, PAGE.format("Moved"), {"Location": f"http://169.254.169.254/latest/meta-data/{rest}"})

    def _loop(self, rest: str, times: int) -> None:
        self._text(302, PAGE.format("Moved"), {"Location": f"/loop/{rest}"})

    def _hang(self, rest: str, times: int) -> None:
        self._hold()

    def _stall(self, rest: str, times: int) -> None:
        self._file(rest, half=True)
        self._hold()

    def _cut(self, rest: str, times: int) -> None:
        self._file(rest, half=True)
        self.close_connection = True

    def _drip(self, rest: str, times: int) -> None:
        path = self.server.world.media / Path(rest).name
        self._head(200, TYPES.get(path.suffix, "application/octet-stream"), path.stat().st_size)
        for chunk in _chunks(path, 0, path.stat().st_size if self.command == "GET" else 0, 1024):
            self.wfile.write(chunk)
            if self.server.world.stopping.wait(0.05):
                return

    def _page(self, rest: str, times: int) -> None:
        self._text(200, PAGE.format("This video has been removed by its owner."))

    def _watch(self, rest: str, times: int) -> None:
        kind = TYPES.get(Path(rest).suffix, "video/mp4")
        self._text(200, PAGE.format(f'<video controls><source src="/{rest}" type="{kind}"></video>'))

    def _youtube(self, rest: str, times: int) -> None:
        self._file(f"{rest}.mp4")

    def _fail(self, rest: str, times: int) -> None:
        status, _, rest = rest.partition("/")
        limit, _, name = rest.partition("/")
        if name and times > int(limit):
            self._file(name)
            return
        extra = {"Retry-After": "1"} if status in ("429", "503") else None
        self._text(int(status), PAGE.format(f"Status {status}"), extra)

    def _big(self, rest: str, times: int) -> None:
        left = int(rest.partition("/")[0])
        self._head(200, "video/mp4", left)
        while left > 0 and self.command == "GET":
            self.wfile.write(bytes(min(CHUNK, left)))
            left -= CHUNK


def _chunks(path: Path, first: int, length: int, size: int = CHUNK) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(first)
        while length > 0 and (chunk := file.read(min(size, length))):
            length -= len(chunk)
            yield chunk
