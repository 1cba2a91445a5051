"""Fetch: what comes is stored once by its content, what does not is a row with its own reason."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.unit.flashes import Recipe, make
from tests.world.server import WorldServer
from winnow.lake import Lake, sha256_file
from winnow.sample import Outcome, Reason, sid
from winnow.settings import Settings
from winnow.stage import Batch, Sample
from winnow.stages.fetch import Fetch, Pace

HOST, REFUSED = "http://media.world.test/", "http://refused.world.test/"
LOOPBACK = "127.0.0.0/8"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    (root / "media").mkdir()
    for name, container, more in (("a", "mp4", {}), ("b", "webm", {"audio": "libopus", "rate_hz": 48000})):
        video = "libvpx" if container == "webm" else "libx264"
        make(
            Recipe(name, container=container, video=video, seconds=2.0, **more), root / "media" / f"{name}.{container}"
        )
    (root / "media" / "text.mp4").write_text("This is not a video.\n" * 50)
    (root / "media" / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    (root / "media" / "empty.mp4").write_bytes(b"")
    (root / "media" / "picture.mp4").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (root / "media" / "plain").write_bytes((root / "media" / "a.mp4").read_bytes())
    return root


@pytest.fixture(scope="module")
def server(world: Path) -> Iterator[WorldServer]:
    with WorldServer(world) as running:
        yield running


class Fetcher:
    """A fetch stage over one lake; called with addresses, it returns their outcomes in order."""

    def __init__(self, tmp_path: Path, rewrites: dict[str, str], **settings: object) -> None:
        self.tmp_path, self.lake = tmp_path, Lake(tmp_path / "lake")
        values = {
            "inbox": tmp_path / "inbox", "fetch_allow_networks": LOOPBACK, "fetch_rewrites": rewrites,
            "fetch_timeout_s": 1.0, "fetch_deadline_s": 10.0, "fetch_max_bytes": 2_000_000, **settings,
        }  # fmt: skip
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


@pytest.fixture
def fetch(tmp_path: Path, server: WorldServer) -> Fetcher:
    server.requests.clear()
    return Fetcher(tmp_path, server.rewrites)


# -- what comes --------------------------------------------------------------------------------------------------------
def test_a_plain_link_is_one_request_and_stored_by_content(fetch: Fetcher, world: Path, server: WorldServer) -> None:
    mp4, webm = fetch(HOST + "a.mp4", HOST + "b.webm")
    assert (mp4.reason, webm.reason) == (None, None)
    source = world / "media" / "a.mp4"
    assert mp4.values == {
        "video_id": sid("video", HOST + "a.mp4"), "url": HOST + "a.mp4", "start_s": None, "end_s": None,
        "media_sha256": sha256_file(source), "media_ext": "mp4", "media_bytes": source.stat().st_size,
        "media_type": "video/mp4", "fetched_title": "a", "fetched_uploader": None, "fetched_duration_s": None,
        "redirects": 0,
    }  # fmt: skip
    assert set(mp4.values) == set(Fetch.schema)
    assert (webm.values["media_ext"], webm.values["media_type"]) == ("webm", "video/webm")
    assert fetch.lake.media_path(mp4.values["media_sha256"], "mp4").read_bytes() == source.read_bytes()
    assert dict(server.requests) == {"/a.mp4": 1, "/b.webm": 1}


def test_a_redirect_is_followed_counted_and_not_asked_twice(fetch: Fetcher, server: WorldServer) -> None:
    (outcome,) = fetch(HOST + "redirect/a.mp4")
    assert outcome.values["redirects"] == 1
    assert dict(server.requests) == {"/redirect/a.mp4": 1, "/a.mp4": 1}


def test_rows_of_one_video_share_its_download(tmp_path: Path, fetch: Fetcher, server: WorldServer) -> None:
    same = {"video_id": "v", "url": HOST + "a.mp4", "content_sha256": None}
    samples = [
        Sample("0" * 20, {**same, "start_s": 0.0, "end_s": 1.0}),
        Sample("1" * 20, {**same, "start_s": 1.0, "end_s": None}),
    ]
    first, second = sorted(fetch.stage.process(Batch(samples, tmp_path)), key=lambda o: o.sample_id)
    assert server.requests["/a.mp4"] == 1
    assert (first.values["end_s"], second.values["start_s"]) == (1.0, 1.0)
    assert first.values["media_sha256"] == second.values["media_sha256"]


def test_the_name_says_nothing_about_the_kind(fetch: Fetcher) -> None:
    (outcome,) = fetch(HOST + "plain")
    assert (outcome.reason, outcome.values["media_ext"]) == (None, "mp4")


def test_a_video_inside_a_page_is_found(fetch: Fetcher) -> None:
    assert [o.reason for o in fetch(HOST + "watch/a.mp4")] == [None]


def test_the_environment_and_the_home_folder_change_nothing(
    tmp_path: Path, server: WorldServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.refused_port}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "yt-dlp").mkdir()
    (tmp_path / "yt-dlp" / "config").write_text("--simulate\n")
    (tmp_path / "yt-dlp.conf").write_text("--simulate\n")
    assert [o.reason for o in Fetcher(tmp_path, server.rewrites)(HOST + "a.mp4")] == [None]


# -- what does not -----------------------------------------------------------------------------------------------------
REASONS = [
    ("gone.mp4", Reason.gone, "HTTP 404"),
    ("fail/410/a.mp4", Reason.gone, "HTTP 410"),
    ("fail/401/a.mp4", Reason.forbidden, "HTTP 401"),
    ("fail/403/a.mp4", Reason.forbidden, "HTTP 403"),
    ("fail/451/a.mp4", Reason.forbidden, "HTTP 451"),
    ("fail/400/a.mp4", Reason.forbidden, "HTTP 400"),
    ("fail/408/a.mp4", Reason.timeout, "HTTP 408"),
    ("fail/429/a.mp4", Reason.throttled, "HTTP 429"),
    ("fail/500/a.mp4", Reason.server_error, "HTTP 500"),
    ("fail/503/a.mp4", Reason.server_error, "HTTP 503"),
    ("loop/a.mp4", Reason.server_error, "redirects in a circle"),
    ("hang/a.mp4", Reason.timeout, "silent for longer than the timeout"),
    ("stall/a.mp4", Reason.timeout, "silent for longer than the timeout"),
    ("cut/a.mp4", Reason.incomplete, "fewer bytes came than were promised"),
    ("page/a.mp4", Reason.not_media, "a page without a video"),
    ("page/a", Reason.not_media, "a page without a video"),
    ("text.mp4", Reason.not_media, "text"),
    ("picture.mp4", Reason.not_media, "image/png, neither video nor sound"),
    ("empty.mp4", Reason.not_media, "the answer holds no bytes"),
    ("big/1000/a.mp4", Reason.not_media, "bytes of no known kind"),
    ("big/3000000/a.mp4", Reason.too_large, "larger than WINNOW_FETCH_MAX_BYTES allows"),
    ("to-private/a.mp4", Reason.blocked_address, "its host is not on the public internet"),
    ("to-metadata/a.mp4", Reason.blocked_address, "its host is not on the public internet"),
    ("to-private/a", Reason.blocked_address, "its host is not on the public internet"),
]


@pytest.mark.parametrize(("path", "reason", "detail"), REASONS, ids=[r[0] for r in REASONS])
def test_each_failure_has_its_reason(fetch: Fetcher, path: str, reason: Reason, detail: str | None) -> None:
    clock = time.monotonic()
    (outcome,) = fetch(HOST + path)
    assert outcome.reason is reason, outcome.detail
    assert detail is None or outcome.detail == detail
    assert "127.0.0.1" not in outcome.detail
    assert outcome.values["url"] == HOST + path
    assert not (fetch.tmp_path / "lake" / "media").exists()
    assert time.monotonic() - clock < 4


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (REFUSED + "a.mp4", Reason.refused),
        ("http://nothing.invalid/a.mp4", Reason.unresolved_host),
        ("http://10.0.0.1/a.mp4", Reason.blocked_address),
        ("http://169.254.169.254/latest/meta-data/", Reason.blocked_address),
        ("https://[::1]/a.mp4", Reason.blocked_address),
        ("http://[::ffff:10.0.0.1]/a.mp4", Reason.blocked_address),
        ("http://167772161/a.mp4", Reason.blocked_address),
        ("http://0xa000001/a.mp4", Reason.blocked_address),
        ("ftp://127.0.0.1/a.mp4", Reason.blocked_scheme),
        ("file:///etc/passwd", Reason.blocked_scheme),
        ("data:video/mp4;base64,AAAA", Reason.blocked_scheme),
        ("rtmp://127.0.0.1/live", Reason.blocked_scheme),
    ],
)
def test_each_address_has_its_reason(fetch: Fetcher, url: str, reason: Reason) -> None:
    assert [o.reason for o in fetch(url)] == [reason]


def test_without_permission_loopback_is_refused_before_a_packet_leaves(tmp_path: Path, server: WorldServer) -> None:
    server.requests.clear()
    fetch = Fetcher(tmp_path, server.rewrites, fetch_allow_networks="")
    urls = [
        HOST + "a.mp4",
        HOST + "plain",
        server.url + "a.mp4",
        server.url.replace("127.0.0.1", "localhost") + "a.mp4",
    ]
    assert {o.reason for o in fetch(*urls)} == {Reason.blocked_address}
    assert not server.requests


def test_a_transient_failure_passes_when_the_host_recovers(fetch: Fetcher) -> None:
    url = HOST + "fail/503/1/a.mp4"
    assert [o.reason for o in fetch(url)] == [Reason.server_error]
    assert [o.reason for o in fetch(url)] == [None]


# -- a server of our own, for what no honest server does ---------------------------------------------------------------
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


@pytest.fixture
def odd(world: Path) -> Iterator[tuple[type[Odd], dict[str, str]]]:
    Odd.answers, Odd.open_now, Odd.most, Odd.starts = {}, 0, 0, []
    http = ThreadingHTTPServer(("127.0.0.1", 0), Odd)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield Odd, {"http://odd.test/": f"http://127.0.0.1:{http.server_port}/"}
    http.shutdown()
    http.server_close()


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


def test_redirects_to_a_mirrored_host_go_to_the_mirror(tmp_path: Path, odd, world: Path) -> None:
    handler, rewrites = odd
    data = (world / "media" / "a.mp4").read_bytes()
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


@pytest.mark.parametrize("slow", [drip, drip_headers])
def test_a_server_that_drips_ends_by_the_deadline(tmp_path: Path, odd, slow: Callable[[Odd], None]) -> None:
    handler, rewrites = odd
    handler.answers = {"/a.mp4": slow}
    clock = time.monotonic()
    (outcome,) = Fetcher(tmp_path, rewrites, fetch_deadline_s=0.8)("http://odd.test/a.mp4")
    assert (outcome.reason, outcome.detail) == (Reason.timeout, "not complete within the time for one file")
    assert time.monotonic() - clock < 2


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


def test_a_page_that_unpacks_to_gigabytes_is_too_large(tmp_path: Path, odd) -> None:
    bomb = gzip.compress(b"<html>" + bytes(100 << 20))
    handler, rewrites = odd
    handler.answers = {"/page": lambda h: h.say(200, bomb, Content_Type="text/html", Content_Encoding="gzip")}
    (outcome,) = Fetcher(tmp_path, rewrites)("http://odd.test/page")
    assert outcome.reason is Reason.too_large
    assert "MiB" in outcome.detail


def test_cookies_do_not_go_from_one_video_to_the_next(tmp_path: Path, odd, world: Path) -> None:
    data, seen = (world / "media" / "a.mp4").read_bytes(), []

    def answer(handler: Odd) -> None:
        seen.append(handler.headers.get("Cookie"))
        handler.say(200, data, Content_Type="video/mp4", Set_Cookie="who=me; Path=/")

    handler, rewrites = odd
    handler.answers = {"/a.mp4": answer, "/b.mp4": answer}
    fetch = Fetcher(tmp_path, rewrites, fetch_concurrency=1)
    fetch("http://odd.test/a.mp4", "http://odd.test/b.mp4")
    assert seen == [None, None]


@pytest.mark.parametrize("limit", [1, 3])
def test_downloads_at_a_time_are_bounded_for_each_host(tmp_path: Path, odd, world: Path, limit: int) -> None:
    data = (world / "media" / "a.mp4").read_bytes()

    def answer(handler: Odd) -> None:
        time.sleep(0.1)
        handler.say(200, data, Content_Type="video/mp4")

    handler, rewrites = odd
    names = [f"{i}.mp4" for i in range(8)]
    handler.answers = {f"/{name}": answer for name in names}
    found = Fetcher(tmp_path, rewrites, fetch_concurrency=limit)(*(f"http://odd.test/{name}" for name in names))
    assert {o.reason for o in found} == {None}
    assert handler.most == limit


def test_starts_are_spaced_for_each_host(tmp_path: Path, odd, world: Path) -> None:
    data = (world / "media" / "a.mp4").read_bytes()
    handler, rewrites = odd
    handler.answers = {f"/{i}.mp4": lambda h: h.say(200, data, Content_Type="video/mp4") for i in range(4)}
    fetch = Fetcher(tmp_path, rewrites, fetch_rate=5.0)
    fetch("http://odd.test/0.mp4")
    handler.starts.clear()
    fetch(*(f"http://odd.test/{i}.mp4" for i in range(4)))
    assert max(handler.starts) - min(handler.starts) >= 0.45


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


# -- files of the inbox ------------------------------------------------------------------------------------------------
@pytest.fixture
def inbox(tmp_path: Path, world: Path) -> Path:
    folder = tmp_path / "inbox" / "day"
    folder.mkdir(parents=True)
    (folder / "a.mp4").write_bytes((world / "media" / "a.mp4").read_bytes())
    return folder


def test_a_file_of_the_inbox_is_copied_and_left_alone(fetch: Fetcher, inbox: Path) -> None:
    sha256 = sha256_file(inbox / "a.mp4")
    (outcome,) = fetch("inbox:day/a.mp4", content_sha256=sha256)
    assert (outcome.reason, outcome.values["media_sha256"], outcome.values["media_ext"]) == (None, sha256, "mp4")
    assert fetch.lake.media_path(sha256, "mp4").stat().st_ino != (inbox / "a.mp4").stat().st_ino


def test_a_changed_or_missing_file_says_so(fetch: Fetcher, inbox: Path) -> None:
    (outcome,) = fetch("inbox:day/a.mp4", content_sha256="0" * 64)
    assert outcome.reason is Reason.missing_file
    assert "ingest the batch again" in outcome.detail
    assert [o.reason for o in fetch("inbox:day/b.mp4", "inbox:day")] == [Reason.missing_file] * 2
    (inbox / "t.mp4").write_text("text")
    assert [o.reason for o in fetch("inbox:day/t.mp4")] == [Reason.not_media]


def test_no_path_leads_out_of_the_inbox(fetch: Fetcher, inbox: Path, tmp_path: Path, world: Path) -> None:
    outside = tmp_path / "outside.mp4"
    outside.write_bytes((world / "media" / "a.mp4").read_bytes())
    (inbox / "link.mp4").symlink_to(outside)
    urls = ("inbox:../outside.mp4", "inbox:day/../../outside.mp4", f"inbox:{outside}", "inbox:day/link.mp4")
    assert [o.reason for o in fetch(*urls)] == [Reason.blocked_scheme] * 4


def test_a_playlist_named_mp4_opens_nothing(fetch: Fetcher) -> None:
    (outcome,) = fetch(HOST + "playlist.mp4")
    assert outcome.reason in (Reason.not_media, Reason.blocked_scheme, Reason.unsupported_site)
    assert not (fetch.tmp_path / "lake" / "media").exists()


def test_an_unforeseen_error_is_one_row(fetch: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    from winnow import download

    monkeypatch.setattr(download.Downloader, "fetch", lambda *a: 1 / 0)
    (outcome,) = fetch(HOST + "a.mp4")
    assert (outcome.reason, outcome.detail) == (Reason.internal_error, "ZeroDivisionError")


def test_overhead_of_a_small_file(fetch: Fetcher, server: WorldServer) -> None:
    fetch(HOST + "a.mp4")
    urls = [f"{HOST}a.mp4?{i}" for i in range(20)]
    clock = time.process_time()
    assert {o.reason for o in fetch(*urls)} == {None}
    assert (time.process_time() - clock) / len(urls) < 0.03
