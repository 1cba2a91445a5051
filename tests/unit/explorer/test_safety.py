"""What the explorer refuses and forbids, and where it runs: alone, behind a login, below another application."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient

from tests.unit import explored
from tests.unit.explored import HEARD, annotate, browser, labels, rate, ratings, shown
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.explorer import safety
from winnow.explorer.app import application
from winnow.explorer.server import Patient


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return explored.build(tmp_path)[0]


# -- what is refused ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"token": "0" * 64}, 403),
        ({"sample_id": "f" * 20}, 404),
        ({"sample_id": "../../../../etc/passwd"}, 422),
        ({"sample_id": HEARD[0] + "\n"}, 422),
        ({"onscreen": "maybe"}, 422),
        ({"onscreen": ""}, 422),
        ({"more": "1"}, 422),
        ({"person": "a" * 65}, 422),
        ({"person": "proposal:1f"}, 422),
        ({"person": "<b>"}, 422),
        ({"person": ""}, 422),
    ],
)
def test_a_bad_form_stores_nothing(lake, changes, status):
    ann = browser(lake)
    answer = rate(ann, **{"sample_id": HEARD[0], **changes})
    assert answer.status_code == status
    assert "<h1>" in answer.text
    assert ratings(lake) == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"category": "no such"}, 422),
        ({"second": ["10"]}, 422),
        ({"second": ["-1"]}, 422),
        ({"second": ["1"] * 11}, 422),
        ({"second": ["x"]}, 422),
        ({"token": ""}, 403),
    ],
)
def test_a_bad_annotation_stores_nothing(lake, changes, status):
    ann = browser(lake)
    assert annotate(ann, **{"sample_id": HEARD[0], "seconds": [1], **changes}).status_code == status
    assert labels(lake) == []


@pytest.mark.fault("a form of another site", "explore", "refused, nothing stored")
def test_a_form_of_another_site_or_browser_is_refused(lake):
    ann, bob = browser(lake), browser(lake, "Bob")
    assert ann.cookies[safety.SESSION_COOKIE] != bob.cookies[safety.SESSION_COOKIE]
    assert rate(ann, HEARD[0], token=bob.token).status_code == 403
    given = {"token": ann.token, "person": "Ann", "sample_id": HEARD[0], "onscreen": "yes", "offscreen": "no"}
    assert ann.post("/rate", data=given, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    for origin in (
        "https://evil.example",
        "null",
        "http://testserver.evil.example",
    ):  # no Sec-Fetch-Site: an old browser
        assert ann.post("/rate", data=given, headers={"Origin": origin}).status_code == 403
    ann.cookies.clear()
    assert ann.post("/rate", data=given).status_code == 403
    assert ratings(lake) == []
    cookie = TestClient(application(lake, Settings(lake=lake.root))).get("/").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_a_form_of_our_own_page_is_taken_from_a_browser_without_fetch_metadata(lake):
    ann = browser(lake)
    given = {"token": ann.token, "person": "Ann", "sample_id": HEARD[0], "onscreen": "yes", "offscreen": "no"}
    assert ann.post("/rate", data=given, headers={"Origin": "http://testserver"}).status_code == 200
    assert len(ratings(lake)) == 1


@pytest.mark.fault("a request that stops coming", "explore", "dropped")
@pytest.mark.parametrize(
    ("begun", "answer"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: 127.0", b""),
        (b"GET /assets/style.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n|GET / HT", b"HTTP/1.1 200 OK"),
        (b"POST /rate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\ntoken=", b"HTTP/1.1 408 "),
    ],
    ids=["nothing", "half of the headers", "half of the second headers", "half of the body"],
)
def test_a_request_that_stops_coming_is_dropped(patient, begun, answer):
    with socket.create_connection(("127.0.0.1", patient), timeout=30) as client:
        first, _, then = begun.partition(b"|")
        client.sendall(first)
        got = client.recv(65536) if then else b""
        client.sendall(then)
        while piece := client.recv(65536):  # until the server closes
            got += piece
    assert got.startswith(answer) if answer else not got


@pytest.fixture
def patient(lake, monkeypatch):
    """The port of a server whose patience is short."""
    monkeypatch.setattr(safety, "STALLED_S", 0.3)
    app = application(lake, Settings(lake=lake.root))
    config = uvicorn.Config(app, port=0, http=Patient, ws="none", log_level="warning", timeout_keep_alive=600)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(20)


def test_bodies_are_bounded(lake):
    ann = browser(lake)
    assert rate(ann, HEARD[0], more="x" * safety.MAX_BODY_BYTES).status_code == 413
    pieces = (b"more=" + b"x" * 5000 for _ in range(5))
    assert ann.post("/rate", content=pieces).status_code == 413
    assert ratings(lake) == []


def test_other_host_names_are_not_answered(lake):
    client = TestClient(
        application(lake, Settings(lake=lake.root), hosts=safety.LOOPBACK), base_url="http://127.0.0.1:9"
    )
    assert client.get("/").status_code == 200
    assert client.get("/", headers={"Host": "localhost:8600"}).status_code == 200
    for name in ("evil.example", "evil.example:8600", "127.0.0.1.evil.example", ""):
        assert client.get("/", headers={"Host": name}).status_code == 421


@pytest.mark.parametrize(
    "path", ["/", "/rate", "/clips/zzz", "/assets/style.css", "/nowhere", f"/media/{HEARD[0]}.mp4"]
)
def test_every_answer_forbids_what_it_does_not_need(lake, path):
    headers = browser(lake).get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_what_lists_say_is_escaped_and_pages_ask_for_nothing_elsewhere(lake):
    ann = browser(lake)
    explored.draw(lake)
    table, values = "/clips?view=table&q=%3Cscript", "/clips/values?facet=label"
    for path in ("/", "/people", "/rate", "/annotate", "/audit", table, values, f"/clips/{HEARD[0]}"):
        page = ann.get(path).text
        assert "document.title = 'owned'" not in page
        assert "<b>bold" not in page
        assert not re.search(r' on\w+="| style="|<style|(src|href)="(?!/|data:,|#)', page), path
    assert "&lt;script&gt;" in ann.get(f"/clips/{HEARD[0]}").text
    for name in ("style.css", "player.js", "rate.js", "annotate.js", "page.js", "grid.js", "clip.js"):
        assert not re.search(r"https?://|@import|url\(|eval|innerHTML", ann.get(f"/assets/{name}").text)


# -- where it runs -----------------------------------------------------------------------------------------------------
def test_a_new_release_is_seen_and_without_one_the_page_says_what_to_do(tmp_path):
    lake, _ = explored.build(tmp_path / "a")
    ann = browser(lake)
    assert explored.RELEASE in ann.get("/").text
    folder = Path(lake.full("releases"))
    shutil.copytree(folder / explored.RELEASE, folder / "ba9876543210")
    lake.write("releases/current", b"ba9876543210\n")
    assert "ba9876543210" in ann.get("/").text
    empty = TestClient(application(Lake(tmp_path / "b"), Settings(lake=str(tmp_path / "b"))))
    for path in ("/", "/rate", f"/media/{HEARD[0]}.mp4"):
        assert empty.get(path).status_code == 503
        assert "winnow release" in empty.get(path).text


def test_behind_a_login_the_user_answers_and_strangers_see_nothing(lake):
    logged_in = ["dag"]

    def user() -> str:
        if not logged_in:
            raise HTTPException(401, "Not authenticated")
        return logged_in[0]

    outer = FastAPI()
    outer.mount("/winnow/explorer", application(lake, Settings(lake=lake.root), user=user))
    client = TestClient(outer, base_url="http://testserver/winnow/explorer")
    page = client.get("/rate").text
    assert 'action="/winnow/explorer/rate"' in page
    assert "change</a>" not in page
    client.token, client.person = re.search(r'name="token" value="(\w+)"', page)[1], "Ann"
    assert rate(client, shown(page)).headers["location"].startswith("/winnow/explorer/rate?done=")
    assert [row["rater_id"] for row in ratings(lake)] == ["dag"]
    assert "frame-ancestors 'self'" in client.get("/").headers["content-security-policy"]
    logged_in.clear()
    for path in (
        "/",
        "/rate",
        "/annotate",
        "/audit",
        "/clips",
        f"/clips/{HEARD[0]}",
        f"/media/{HEARD[0]}.mp4",
        "/assets/style.css",
    ):
        assert client.get(path).status_code == 401
    assert rate(client, HEARD[0]).status_code == 401
    assert len(ratings(lake)) == 1


def test_behind_a_login_that_serves_everybody_people_say_who_they_are(lake):
    ann = browser(lake, "Ann", user=lambda: None)
    rate(ann, HEARD[0])
    assert "change</a>" in ann.get("/rate").text
    assert [row["rater_id"] for row in ratings(lake)] == ["Ann"]


def test_mounted_below_another_application_its_links_lead_there(lake):
    outer = FastAPI()
    outer.mount("/winnow/explorer", application(lake, Settings(lake=lake.root)))
    client = TestClient(outer)
    page = client.get("/winnow/explorer/").text
    links = re.findall(r'(?:src|href|action)="(/[^"]*)"', page)
    assert links
    assert all(link.startswith("/winnow/explorer/") for link in links)
    assert client.get("/winnow/explorer", follow_redirects=False).headers["location"].endswith("/winnow/explorer/")


def test_the_command_serves_on_the_loopback_address(lake):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "winnow.cli", "explore", "--port", str(port)],
        env={**os.environ, "WINNOW_LAKE": lake.root},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert f"http://127.0.0.1:{port}/ (release {explored.RELEASE}" in server.stderr.readline()
        for _ in range(200):
            try:
                page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read().decode()
                break
            except OSError:
                time.sleep(0.05)
        assert explored.RELEASE in page
    finally:
        server.terminate()
        server.communicate(timeout=20)
