"""Fetch against servers that mislead, drip, flood or keep quiet, and against its own limits."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.fetched import Fetcher, Odd, odd_server
from tests.unit.flashes import Recipe, make
from winnow.core.sample import Reason
from winnow.stages.fetch import Pace


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make(Recipe("a", seconds=1.0), tmp_path_factory.mktemp("media") / "a.mp4").read_bytes()


@pytest.fixture
def odd() -> Iterator[tuple[type[Odd], dict[str, str]]]:
    with odd_server() as running:
        yield running


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("file:///etc/passwd", Reason.blocked_scheme),
        ("ftp://10.0.0.1/a.mp4", Reason.blocked_scheme),
        ("gopher://10.0.0.1/", Reason.blocked_scheme),
        ("//10.0.0.1/a.mp4", Reason.blocked_address),
        ("http://[::ffff:a9fe:a9fe]/a.mp4", Reason.blocked_address),
        ("http://2852039166/a.mp4", Reason.blocked_address),
    ],
)
def test_redirects_are_judged_like_links(tmp_path: Path, odd, target: str, reason: Reason) -> None:
    handler, rewrites = odd
    handler.answers = {"/a.mp4": lambda h: h.say(302, Location=target)}
    (outcome,) = Fetcher(tmp_path, rewrites)("http://odd.test/a.mp4")
    assert outcome.reason is reason


def test_redirects_to_a_mirrored_host_go_to_the_mirror(tmp_path: Path, odd, data: bytes) -> None:
    handler, rewrites = odd
    handler.answers = {
        "/a.mp4": lambda h: h.say(301, Location="http://odd.test/b.mp4"),
        "/b.mp4": lambda h: h.say(200, data, Content_Type="video/mp4"),
    }
    (outcome,) = Fetcher(tmp_path, rewrites)("http://odd.test/a.mp4")
    assert (outcome.reason, outcome.values["redirects"]) == (None, 1)


def drip(handler: Odd) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "video/mp4")
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def drip_headers(handler: Odd) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(200):
        handler.wfile.write(b"x")
        time.sleep(0.05)


@pytest.mark.fault("a server that drips", "fetch", "the file's deadline: `timeout`")
@pytest.mark.parametrize("slow", [drip, drip_headers])
def test_a_server_that_drips_ends_by_the_deadline(tmp_path: Path, odd, slow: Callable[[Odd], None]) -> None:
    handler, rewrites = odd
    handler.answers = {"/a.mp4": slow}
    clock = time.monotonic()
    (outcome,) = Fetcher(tmp_path, rewrites, fetch_deadline_s=0.8)("http://odd.test/a.mp4")
    assert (outcome.reason, outcome.detail) == (Reason.timeout, "not complete within the time for one file")
    assert time.monotonic() - clock < 8  # the server drips for ten seconds


@pytest.mark.fault("an answer without end", "fetch", "`too_large`")
def test_an_endless_answer_is_too_large(tmp_path: Path, odd) -> None:
    def endless(handler: Odd) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "video/mp4")
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(65536))

    handler, rewrites = odd
    handler.answers = {"/a.mp4": endless}
    (outcome,) = Fetcher(tmp_path, rewrites)("http://odd.test/a.mp4")
    assert outcome.reason is Reason.too_large


@pytest.mark.fault("an answer without end", "fetch, of a page that unpacks to gigabytes", "`too_large`")
def test_a_page_that_unpacks_to_gigabytes_is_too_large(tmp_path: Path, odd) -> None:
    bomb = gzip.compress(b"<html>" + bytes(100 << 20))
    handler, rewrites = odd
    handler.answers = {"/page": lambda h: h.say(200, bomb, Content_Type="text/html", Content_Encoding="gzip")}
    (outcome,) = Fetcher(tmp_path, rewrites)("http://odd.test/page")
    assert outcome.reason is Reason.too_large
    assert "MiB" in outcome.detail


def test_cookies_do_not_go_from_one_video_to_the_next(tmp_path: Path, odd, data: bytes) -> None:
    seen = []

    def answer(handler: Odd) -> None:
        seen.append(handler.headers.get("Cookie"))
        handler.say(200, data, Content_Type="video/mp4", Set_Cookie="who=me; Path=/")

    handler, rewrites = odd
    handler.answers = {"/a.mp4": answer, "/b.mp4": answer}
    fetch = Fetcher(tmp_path, rewrites, fetch_concurrency=1)
    fetch("http://odd.test/a.mp4", "http://odd.test/b.mp4")
    assert seen == [None, None]


@pytest.mark.parametrize("limit", [1, 3])
def test_downloads_at_a_time_are_bounded_for_each_host(tmp_path: Path, odd, data: bytes, limit: int) -> None:
    def answer(handler: Odd) -> None:
        time.sleep(0.1)
        handler.say(200, data, Content_Type="video/mp4")

    handler, rewrites = odd
    names = [f"{i}.mp4" for i in range(8)]
    handler.answers = {f"/{name}": answer for name in names}
    found = Fetcher(tmp_path, rewrites, fetch_concurrency=limit)(*(f"http://odd.test/{name}" for name in names))
    assert {o.reason for o in found} == {None}
    assert handler.most == limit


def test_starts_are_spaced_for_each_host(tmp_path: Path, odd, data: bytes) -> None:
    handler, rewrites = odd
    handler.answers = {f"/{i}.mp4": lambda h: h.say(200, data, Content_Type="video/mp4") for i in range(4)}
    fetch = Fetcher(tmp_path, rewrites, fetch_rate=5.0)
    clock = time.monotonic()
    fetch("http://odd.test/0.mp4")
    fetch(*(f"http://odd.test/{i}.mp4" for i in range(4)))
    assert len(handler.starts) == 5
    assert max(handler.starts) - clock >= 0.75  # four spaces of 0.2 s


def test_pace_by_a_clock_of_its_own() -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))

    pace = Pace(2.0, clock=lambda: now[0], sleep=sleep)
    for _ in range(3):
        pace.wait()
    assert slept == [0.5, 1.0]
    now[0] += 10
    pace.wait()
    pace.wait()
    assert slept == [0.5, 1.0, 0.5]
    free = Pace(0.0, clock=lambda: now[0], sleep=sleep)
    free.wait()
    assert len(slept) == 3
