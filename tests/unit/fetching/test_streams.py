"""Streams as servers really offer them: HLS and DASH, made here by FFmpeg and fetched for real over loopback."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tests.unit.fetched import Fetcher
from winnow.core.sample import Outcome, Reason
from winnow.fetching.failures import NO_FORMAT
from winnow.media.ffmpeg import av

HLS = {"hls_time": "1", "hls_list_size": "0", "hls_playlist_type": "vod"}
SECONDS, RATE = 4, 25


def make(path: Path, form: str, *, picture: bool = True, sound: bool = True, **options: str) -> None:
    """Four seconds of picture, sound or both, as FFmpeg's muxer `form` writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=form, options=options) as out:
        video = out.add_stream("libx264", rate=RATE, options={"g": "25", "preset": "ultrafast"}) if picture else None
        audio = out.add_stream("aac", rate=16000, layout="mono") if sound else None
        if video:
            video.width = video.height = 64
            video.pix_fmt = "yuv420p"
        for number in range(SECONDS * RATE):
            if video:
                frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number, np.uint8), format="rgb24")
                frame.pts = number
                out.mux(video.encode(frame))
            if audio:
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 640), np.float32), format="fltp", layout="mono")
                frame.rate, frame.pts = 16000, number * 640
                out.mux(audio.encode(frame))
        for stream in filter(None, (video, audio)):
            out.mux(stream.encode(None))


MASTER = """#EXTM3U
#EXT-X-VERSION:4
{media}#EXT-X-STREAM-INF:BANDWIDTH=200000,RESOLUTION=64x64,CODECS="avc1.42c00a,mp4a.40.2"{group}
{address}
"""
SOUND = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="en",DEFAULT=YES,AUTOSELECT=YES,URI="sound/index.m3u8"\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    make(root / "plain/index.m3u8", "hls", **HLS)
    make(root / "fmp4/index.m3u8", "hls", hls_segment_type="fmp4", **HLS)
    make(root / "picture/index.m3u8", "hls", sound=False, **HLS)
    make(root / "sound/index.m3u8", "hls", picture=False, **HLS)
    make(root / "dash/index.mpd", "dash", seg_duration="1")
    make(root / "silent/index.mpd", "dash", sound=False, seg_duration="1")
    make(root / "a b.mp4", "mp4")
    (root / "whole.m3u8").write_text(MASTER.format(media="", group="", address="plain/index.m3u8"))
    (root / "apart.m3u8").write_text(MASTER.format(media=SOUND, group=',AUDIO="aud"', address="picture/index.m3u8"))
    inside = SOUND.replace(',URI="sound/index.m3u8"', "")
    (root / "inside.m3u8").write_text(MASTER.format(media=inside, group=',AUDIO="aud"', address="plain/index.m3u8"))
    vod = (root / "plain/index.m3u8").read_text()
    live = vod.replace("#EXT-X-ENDLIST\n", "").replace("#EXT-X-PLAYLIST-TYPE:VOD\n", "")
    (root / "plain/live.m3u8").write_text(live)
    head, *parts = vod.removesuffix("#EXT-X-ENDLIST\n").split("#EXTINF")
    parts = [f"#EXTINF{part}" for part in parts]
    joined = [head, *parts[:2], "#EXT-X-DISCONTINUITY\n", *parts[:2], "#EXT-X-ENDLIST\n"]
    (root / "plain/joined.m3u8").write_text("".join(joined))
    return root


class Site(SimpleHTTPRequestHandler):
    """Serves files; scripts (`x.php?id=3`) serve the film, as what they say it is."""

    def log_message(self, *arguments: object) -> None: ...

    def do_GET(self) -> None:
        kinds = {"/typed.php": "video/mp4", "/bytes.php": "application/octet-stream"}
        kind = kinds.get(self.path.partition("?")[0])
        if kind is None:
            return super().do_GET()
        body = (Path(self.directory) / "a b.mp4").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None


@pytest.fixture(scope="module")
def fetch(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetcher]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Site, directory=str(site)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    rewrites = {"http://site.test/": f"http://127.0.0.1:{server.server_port}/"}
    yield Fetcher(tmp_path_factory.mktemp("fetch"), rewrites, fetch_timeout_s=5.0, fetch_deadline_s=60.0)
    server.shutdown()
    server.server_close()


def pictures(fetch: Fetcher, outcome: Outcome) -> tuple[int, int]:
    """How many pictures a fetched file decodes to, and how many streams of sound it has."""
    path = fetch.lake.media_path(outcome.values["media_sha256"], outcome.values["media_ext"])
    with av.open(str(path)) as container:
        sounds = len(container.streams.audio)
        return sum(1 for _ in container.decode(video=0)), sounds


@pytest.mark.parametrize(
    ("address", "seconds", "sounds"),
    [
        ("plain/index.m3u8", 4, 1),
        ("fmp4/index.m3u8", 4, 1),
        ("whole.m3u8", 4, 1),
        ("inside.m3u8", 4, 1),
        ("plain/joined.m3u8", 4, 1),
        ("silent/index.mpd", 4, 0),
        ("typed.php?id=3", 4, 1),
        ("bytes.php?id=3", 4, 1),
        ("a b.mp4", 4, 1),
        ("a%20b.mp4", 4, 1),
    ],
)
def test_it_is_fetched_whole(fetch: Fetcher, address: str, seconds: int, sounds: int) -> None:
    (outcome,) = fetch(f"http://site.test/{address}")
    assert outcome.reason is None, outcome.detail
    assert pictures(fetch, outcome) == (seconds * RATE, sounds)


@pytest.mark.parametrize(
    ("address", "detail"),
    [
        ("apart.m3u8", NO_FORMAT),
        ("dash/index.mpd", NO_FORMAT),
        ("plain/live.m3u8", "a live stream, which has no end"),
    ],
)
def test_what_is_not_fetched_has_its_true_reason(fetch: Fetcher, address: str, detail: str) -> None:
    (outcome,) = fetch(f"http://site.test/{address}")
    assert (outcome.reason, outcome.detail) == (Reason.unsupported_site, detail)


def test_a_reason_of_one_link_is_not_the_next_ones(fetch: Fetcher) -> None:
    live, whole = (fetch(f"http://site.test/{address}")[0] for address in ("plain/live.m3u8", "plain/index.m3u8"))
    assert live.reason is Reason.unsupported_site
    assert whole.reason is None
