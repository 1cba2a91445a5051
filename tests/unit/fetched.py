"""A fetch stage to call with addresses, and a server that does what no honest one does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from winnow.core.lake import Lake
from winnow.core.sample import Outcome, sid
from winnow.core.settings import Settings
from winnow.core.stage import Batch, Sample
from winnow.stages.fetch import Fetch

LOOPBACK = "127.0.0.0/8"


class Fetcher:
    """A fetch stage over one lake; called with addresses, it returns their outcomes in order."""

    def __init__(self, tmp_path: Path, rewrites: dict[str, str], **settings: object) -> None:
        self.tmp_path, self.lake = tmp_path, Lake(tmp_path / "lake")
        values = {
            "inbox": tmp_path / "inbox",
            "fetch_allow_networks": LOOPBACK,
            "fetch_rewrites": rewrites,
            "fetch_timeout_s": 1.0,
            "fetch_deadline_s": 10.0,
            "fetch_max_bytes": 2_000_000,
            **settings,
        }
        self.stage = Fetch(Fetch.Params(), self.lake, Settings(**values))
        self.stage.setup()

    def __call__(self, *urls: str, **row: object) -> list[Outcome]:
        samples = [
            Sample(
                f"{number:020d}",
                {
                    "video_id": sid("video", url),
                    "url": url,
                    "start_s": None,
                    "end_s": None,
                    "content_sha256": None,
                    **row,
                },
            )
            for number, url in enumerate(urls)
        ]
        work = self.tmp_path / f"work-{time.monotonic_ns()}"
        work.mkdir()
        found = {o.sample_id: o for o in self.stage.process(Batch(samples, work))}
        assert set(found) == {s.id for s in samples}
        assert list(work.iterdir()) == []
        return [found[s.id] for s in samples]


class Odd(BaseHTTPRequestHandler):
    """Answers by path with what `answers` holds; counts how many requests are open at a time."""

    answers: dict[str, Callable[[Odd], None]] = {}
    open_now, most, starts = 0, 0, []
    lock = threading.Lock()

    def log_message(self, *arguments: object) -> None: ...

    def do_GET(self) -> None:
        with Odd.lock:
            Odd.open_now += 1
            Odd.most = max(Odd.most, Odd.open_now)
            Odd.starts.append(time.monotonic())
        try:
            self.answers[self.path.split("?")[0]](self)
        except OSError:
            pass
        finally:
            with Odd.lock:
                Odd.open_now -= 1

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def odd_server() -> Iterator[tuple[type[Odd], dict[str, str]]]:
    """The handler to give answers to, and the rewrite that leads http://odd.test/ to it."""
    Odd.answers, Odd.open_now, Odd.most, Odd.starts = {}, 0, 0, []
    http = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield Odd, {"http://odd.test/": f"http://127.0.0.1:{http.server_port}/"}
    finally:
        http.shutdown()
        http.server_close()
