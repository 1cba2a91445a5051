"""The world's server has the manners its routes promise, and ends when it is told to or is left alone."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.world import WorldServer

BODY = bytes(range(256)) * 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WorldServer]:
    media = tmp_path / "media"
    media.mkdir()
    for name in ("a.mp4", "b.webm", "c.mkv"):
        (media / name).write_bytes(BODY)
    (tmp_path / "truth.jsonl").write_text("secret")
    with WorldServer(tmp_path) as running:
        yield running


def ask(server: WorldServer, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_files_have_their_type_and_length(server: WorldServer) -> None:
    for name, kind in (("a.mp4", "video/mp4"), ("b.webm", "video/webm"), ("c.mkv", "video/x-matroska")):
        response, body = ask(server, f"/{name}")
        assert (response.status, response.getheader("Content-Type"), body) == (200, kind, BODY)
    response, body = ask(server, "/a.mp4", "HEAD")
    assert (response.status, response.getheader("Content-Length"), body) == (200, str(len(BODY)), b"")
    assert server.requests == {"/a.mp4": 1, "/b.webm": 1, "/c.mkv": 1, "HEAD /a.mp4": 1}


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-9", 206, BODY[:10]),
        ("bytes=100-", 206, BODY[100:]),
        ("bytes=-7", 206, BODY[-7:]),
        ("bytes=10000-99999", 206, BODY[10000:]),
        ("bytes=99999-", 416, b""),
        ("bytes=x", 200, BODY),
    ],
)
def test_ranges(server: WorldServer, asked: str, status: int, part: bytes) -> None:
    response, body = ask(server, "/a.mp4", Range=asked)
    assert (response.status, body) == (status, part)


def test_nothing_outside_the_media_folder_is_served(server: WorldServer) -> None:
    for path in ("/../truth.jsonl", "/%2e%2e/truth.jsonl", "/truth.jsonl", "/", "/missing.mp4"):
        response, body = ask(server, path)
        assert response.status == 404
        assert b"secret" not in body


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/redirect/a.mp4", "/a.mp4"),
        ("/to-private/a.mp4", "http://10.0.0.1/a.mp4"),
        ("/to-metadata/a.mp4", "http://169.254.169.254/latest/meta-data/a.mp4"),
        ("/loop/a.mp4", "/loop/a.mp4"),
    ],
)
def test_redirects(server: WorldServer, path: str, location: str) -> None:
    response, _ = ask(server, path)
    assert (response.status, response.getheader("Location")) == (302, location)


def test_pages(server: WorldServer) -> None:
    response, body = ask(server, "/page/x")
    assert response.status == 200
    assert response.getheader("Content-Type", "").startswith("text/html")
    assert b"<video" not in body
    assert b'src="/a.mp4"' in ask(server, "/watch/a.mp4")[1]


def test_failures_for_ever_or_a_few_times(server: WorldServer) -> None:
    assert [ask(server, "/fail/403/a.mp4")[0].status for _ in range(2)] == [403, 403]
    response, _ = ask(server, "/fail/429/2/a.mp4")
    assert (response.status, response.getheader("Retry-After")) == (429, "1")
    assert ask(server, "/fail/429/2/a.mp4")[0].status == 429
    assert ask(server, "/fail/429/2/a.mp4")[1] == BODY


def test_a_cut_transfer_sends_less_than_it_promised(server: WorldServer) -> None:
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(server, "/cut/a.mp4")
    assert caught.value.partial == BODY[: len(BODY) // 2]


def test_big_sends_as_many_bytes_as_asked(server: WorldServer) -> None:
    response, body = ask(server, "/big/200000/a.mp4")
    assert response.getheader("Content-Length") == "200000"
    assert len(body) == 200_000


@pytest.mark.parametrize(("path", "sent"), [("/hang/a.mp4", 0), ("/stall/a.mp4", len(BODY) // 2)])
def test_a_hanging_link_says_no_more_until_the_server_stops(server: WorldServer, path: str, sent: int) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: media.world.test\r\n\r\n".encode())
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < sent:
            got += client.recv(65536)
        assert not select.select([client], [], [], 0.5)[0]
        assert len(got.partition(b"\r\n\r\n")[2]) == sent
        server.stopping.set()
        assert client.recv(1) == b""


def test_the_refused_port_refuses_and_hosts_map_to_ports(server: WorldServer) -> None:
    assert server.rewrites == {
        "http://media.world.test/": f"http://127.0.0.1:{server.port}/",
        "http://refused.world.test/": f"http://127.0.0.1:{server.refused_port}/",
        "https://www.youtube.com/watch?v=": f"http://127.0.0.1:{server.port}/youtube/",
    }
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.refused_port), timeout=2)


def serve(folder: Path) -> list[str]:
    return [sys.executable, "-m", "tests.world", "serve", "--dir", str(folder)]


def test_the_command_says_where_it_serves_and_ends_on_sigterm(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    process = subprocess.Popen(serve(tmp_path), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        assert set(line) == {"port", "refused_port", "rewrites"}
        host = urlsplit(line["rewrites"]["http://media.world.test/"])
        assert (host.hostname, host.port) == ("127.0.0.1", line["port"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_the_command_ends_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    code = f"import subprocess, sys, time\nsubprocess.Popen({serve(tmp_path)!r})\ntime.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    port = json.loads(parent.stdout.readline())["port"]
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            break
        except (ConnectionResetError, TimeoutError):
            pass  # it is closing just now
        time.sleep(0.1)
    else:
        pytest.fail("the server outlived its parent by 30 s")
    parent.stdout.close()


def test_a_folder_without_a_world_is_named(tmp_path: Path) -> None:
    done = subprocess.run(serve(tmp_path), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 78
    assert "is no world: make one with" in done.stderr
