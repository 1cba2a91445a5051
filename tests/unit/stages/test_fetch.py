"""Fetch: what comes is stored once by its content, what does not is a row with its own reason."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.fetched import Fetcher
from tests.unit.flashes import Recipe, make
from tests.world.server import WorldServer
from winnow.core.lake import sha256_file
from winnow.core.sample import Reason, sid
from winnow.core.stage import Batch, Sample
from winnow.stages.fetch import Fetch

HOST, REFUSED = "http://media.world.test/", "http://refused.world.test/"


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
        "video_id": sid("video", HOST + "a.mp4"),
        "url": HOST + "a.mp4",
        "start_s": None,
        "end_s": None,
        "media_sha256": sha256_file(source),
        "media_ext": "mp4",
        "media_bytes": source.stat().st_size,
        "media_type": "video/mp4",
        "fetched_title": "a",
        "fetched_uploader": None,
        "fetched_duration_s": None,
        "redirects": 0,
    }
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
    for program in ("ffmpeg", "ffprobe", "deno", "node", "aria2c", "curl"):
        path = tmp_path / "bin" / program
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    (tmp_path / "yt-dlp").mkdir()
    (tmp_path / "yt-dlp" / "config").write_text("--simulate\n")
    (tmp_path / "yt-dlp.conf").write_text("--simulate\n")
    fetch = Fetcher(tmp_path, server.rewrites)
    assert [o.reason for o in fetch(HOST + "a.mp4", HOST + "plain", HOST + "watch/a.mp4")] == [None] * 3
    assert not (tmp_path / "started").exists()


# -- what does not -----------------------------------------------------------------------------------------------------
PRIVATE = "its host is not on the public internet; WINNOW_FETCH_ALLOW_NETWORKS may allow it"
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
    ("to-private/a.mp4", Reason.blocked_address, PRIVATE),
    ("to-metadata/a.mp4", Reason.blocked_address, PRIVATE),
    ("to-private/a", Reason.blocked_address, PRIVATE),
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
    assert time.monotonic() - clock < 8  # a silent server costs `fetch_timeout_s`, not the whole deadline


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


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("Private video. Sign in if you've been granted access", Reason.forbidden),
        ("This video is not available in your country", Reason.forbidden),
        ("Video unavailable. This video has been removed by the uploader", Reason.gone),
        ("This account has been terminated", Reason.gone),
        ("Too many requests, try again later", Reason.throttled),
        ("This site is closed on Mondays", Reason.unsupported_site),
    ],
)
def test_what_a_site_says_in_words(words: str, reason: Reason) -> None:
    from yt_dlp.utils import DownloadError, ExtractorError

    from winnow.fetching.egress import Guard, Policy
    from winnow.fetching.failures import explain

    said = ExtractorError(f"{words}; see https://127.0.0.1:4123/help", expected=True)
    failure = explain(DownloadError("ERROR: …", (ExtractorError, said, None)), Guard(Policy()))
    assert failure.reason is reason
    assert failure.detail == f"{words}; see …"
