"""The fence around yt-dlp: no page costs more than its own row."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.unit.fetched import LOOPBACK, Fetcher, odd_server
from tests.unit.fetching.strange import Strange
from tests.unit.flashes import Recipe, make
from winnow.core.errors import ConfigError, TransientError
from winnow.core.sample import Reason, SampleFailed
from winnow.core.settings import Settings
from winnow.fetching import fence
from winnow.fetching.egress import Guard, Policy
from winnow.fetching.fence import FencedDownloader, Terms


@pytest.fixture
def fenced() -> Iterator[FencedDownloader]:
    allow = Settings(fetch_allow_networks=LOOPBACK).fetch_allow_networks
    found = FencedDownloader(Terms("best", {}, 5.0, 2_000_000, allow, 64 << 20, 1, Strange))
    yield found
    found.end()


@pytest.mark.fault("kill -9", "a download's process", "its link fails by name (`killed`), the next one is served")
@pytest.mark.parametrize(
    ("what", "reason", "words"),
    [
        ("compute", Reason.over_limit, "takes more than 1 s of computing"),
        ("grow", Reason.over_limit, "of memory that a link may take"),
        ("die", Reason.killed, "ended with -9"),
        ("stumble", Reason.internal_error, "ZeroDivisionError"),
    ],
)
def test_what_a_page_does_to_its_process_is_its_own_failure(
    fenced: FencedDownloader, tmp_path: Path, what: str, reason: Reason, words: str
) -> None:
    guard = Guard(Policy())
    with pytest.raises(SampleFailed, match=words) as failed:
        fenced.fetch(f"http://a.test/{what}", tmp_path, guard)
    assert failed.value.reason is reason
    assert fenced.fetch("http://a.test/nothing", tmp_path, guard).media_type == "video/mp4", "the next one is served"


@pytest.mark.fault(
    "an endless computation",
    "a page that asks the network nothing",
    "the file's deadline kills it: `timeout`",
)
def test_a_deadline_ends_what_asks_the_network_nothing(fenced: FencedDownloader, tmp_path: Path) -> None:
    guard = Guard(Policy())
    child = psutil.Process(fenced.fetch("http://a.test/nothing", tmp_path, guard).redirects)
    threading.Timer(0.3, guard.abort).start()
    with pytest.raises(SampleFailed, match="not complete within the time") as failed:
        fenced.fetch("http://a.test/wait", tmp_path, guard)
    assert failed.value.reason is Reason.timeout
    assert not child.is_running()


def test_a_child_serves_many_links_in_the_environment_that_is_now(
    fenced: FencedDownloader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TITLE", "now")
    first, second = (fenced.fetch("http://a.test/nothing", tmp_path, Guard(Policy())) for _ in range(2))
    assert first == second
    assert first.title == "now"


@pytest.mark.fault("a full disk", "a download's process", "exit code 75, nothing committed")
def test_a_full_disk_is_no_links_fault(fenced: FencedDownloader, tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="a file system is full"):
        fenced.fetch("http://a.test/full", tmp_path, Guard(Policy()))


def test_a_folder_too_long_for_a_socket_is_said(
    fenced: FencedDownloader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("long" * 20)))
    with pytest.raises(ConfigError, match="TMPDIR is longer than"):
        fenced.fetch("http://a.test/nothing", tmp_path, Guard(Policy()))


@pytest.mark.fault(
    "an endless computation, memory without end",
    "one link of a shard",
    "`over_limit`; the others have their rows",
)
def test_one_link_never_costs_its_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "plain", Strange)
    data = make(Recipe("a", seconds=1.0), tmp_path / "a.mp4").read_bytes()
    with odd_server() as (odd, rewrites):
        odd.answers["/a.mp4"] = odd.answers["/b.mp4"] = lambda h: h.say(200, data, Content_Type="video/mp4")
        fetch = Fetcher(tmp_path, rewrites, fetch_deadline_s=20.0)
        found = fetch(*(f"http://odd.test/{name}" for name in ("a.mp4", "die", "grow", "stumble", "b.mp4")))
    reasons = [None, Reason.killed, Reason.over_limit, Reason.internal_error, None]
    assert [outcome.reason for outcome in found] == reasons
