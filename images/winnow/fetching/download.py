"""Download: one address to one local file, by yt-dlp, under the egress policy.

yt-dlp knows a thousand sites and every way a page can embed a video; this module keeps it to what a pipeline can
answer for. It reads no configuration, plugins, cookies or netrc, uses no proxy, starts no program, and sends every
request through the standard library's HTTP (one handler whose connections the policy sees). A link whose path ends like
a media file goes to the generic extractor alone; only other links are matched against the sites, which costs half a
second once.

One request a plain link: the generic extractor opens the file to see what it is, and the downloader then asks for the
same file again. Here the second request is handed the answer to the first, which nobody has read yet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.globals import plugin_dirs
from yt_dlp.networking import Request
from yt_dlp.postprocessor.ffmpeg import FFmpegPostProcessor

from winnow.core import own_fault
from winnow.core.sample import Reason, SampleFailed
from winnow.fetching import failures
from winnow.fetching.egress import Guard, guarded
from winnow.fetching.job import Job, too_large
from winnow.fetching.media_type import media_type
from winnow.fetching.transport import BLOCK_BYTES, Answer, GuardedRH
from winnow.sources.folder import EXTENSIONS

_DIRECT = EXTENSIONS | {".m4a", ".mp3", ".ogg", ".wav"}
_PROTOCOLS = frozenset({"http", "https", "m3u8_native", "http_dash_segments"})
plugin_dirs.value = []


@dataclass(frozen=True)
class Download:
    """A fetched file: where it lies, what it is (by its first bytes), what its site said, redirects on the way."""

    path: Path
    media_type: str
    ext: str
    title: str | None = None
    uploader: str | None = None
    duration_s: float | None = None
    redirects: int = 0


def mirrored(rewrites: Mapping[str, str]) -> Callable[[str], str]:
    """A function that replaces the longest listed prefix of an address by its mirror."""
    ordered = sorted(rewrites.items(), key=lambda pair: -len(pair[0]))
    return lambda url: next((new + url[len(old) :] for old, new in ordered if url.startswith(old)), url)


class Downloader:
    """Fetches one address at a time; reused from file to file, never by two threads at once."""

    def __init__(self, format: str, rewrites: Mapping[str, str], timeout_s: float, max_bytes: int) -> None:
        self.mirror, self.max_bytes = mirrored(rewrites), max_bytes
        self._options = {**OPTIONS, "format": format, "socket_timeout": timeout_s}
        self._clients: dict[bool, Client] = {}

    def fetch(self, url: str, folder: Path, guard: Guard, pace: Callable[[], None] = lambda: None) -> Download:
        """Download `url` into the empty `folder`; SampleFailed with the Reason when there is nothing to keep."""
        job = Job(guard, self.mirror, self.max_bytes, pace)
        direct = PurePosixPath(urlsplit(url).path).suffix.lower() in _DIRECT
        client = self._client(direct)
        try:
            with guarded(guard), client.working(job, folder):
                info = client.extract_info(job.address(url), ie_key="Generic" if direct else None) or {}
        except Exception as error:
            if fault := own_fault.of(error):
                raise fault from error
            raise failures.explain(error, guard, job.trouble) from error
        if guard.blocked or guard.aborted:
            raise failures.explain(None, guard)
        if info.get("_type") in ("playlist", "multi_video"):
            info = next((entry for entry in info.get("entries") or () if entry), {})
        files = [path for path in folder.iterdir() if path.is_file()]
        if not files and job.trouble is not None:
            raise failures.explain(job.trouble, guard)
        if len(files) != 1 or not files[0].stat().st_size:
            raise SampleFailed(Reason.not_media, "the answer holds no bytes")
        if files[0].stat().st_size > self.max_bytes:
            raise too_large()
        kind, ext = media_type(files[0])
        told = {} if client.is_direct(info) else info
        duration_s = told.get("duration")
        return Download(
            files[0],
            kind,
            ext,
            title=info.get("title"),
            uploader=told.get("uploader") or told.get("channel"),
            duration_s=float(duration_s) if duration_s else None,
            redirects=job.redirects,
        )

    def _client(self, direct: bool) -> Client:
        """The client for plain links, or the one that knows the sites; made when it is first needed."""
        if direct not in self._clients:
            only = {"allowed_extractors": ["generic", "html5"]} if direct else {}
            self._clients[direct] = Client({**self._options, **only})
        return self._clients[direct]


class _Silent:
    """yt-dlp's messages go nowhere: what happened is in the exception."""

    def debug(self, message: str) -> None: ...
    def info(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


#: Nothing from the user's machine, nothing beside the file, no second attempts (`--retry-reasons` is the one way to try
#: again), no live streams (they have no end), no merging of separate streams (that takes a program).
OPTIONS: Mapping[str, object] = {
    "quiet": True,
    "no_warnings": True,
    "noprogress": True,
    "progress_delta": 3600,
    "logger": _Silent(),
    "color": "never",
    "cachedir": False,
    "usenetrc": False,
    "cookiefile": None,
    "proxy": "",
    "enable_file_urls": False,
    "js_runtimes": {},
    "remote_components": [],
    "ffmpeg_location": "/nonexistent",
    "fixup": "never",
    "external_downloader": {"default": "native"},
    "hls_prefer_native": True,
    "concurrent_fragment_downloads": 1,
    "retries": 0,
    "extractor_retries": 0,
    "fragment_retries": 0,
    "file_access_retries": 0,
    "skip_unavailable_fragments": False,
    "noplaylist": True,
    "playlist_items": "1",
    "nopart": True,
    "overwrites": True,
    "continuedl": False,
    "updatetime": False,
    "buffersize": BLOCK_BYTES,
    "noresizebuffer": True,
}


class Client(yt_dlp.YoutubeDL):
    """yt-dlp with our one request handler, bounded answers, and the first answer to a plain link handed on."""

    def __init__(self, options: Mapping[str, object]) -> None:
        self.job: Job | None = None
        self._held: Answer | None = None
        super().__init__({**options, "match_filter": self._refused}, auto_init=True)

    @contextlib.contextmanager
    def working(self, job: Job, folder: Path):
        """For one download: its job, its folder, and no cookie of the one before."""
        self.job = job
        self.params["outtmpl"] = {**self.params["outtmpl"], "default": str(folder / "media").replace("%", "%%")}
        self._progress_hooks = [job.progress]
        self.cookiejar.clear()
        # HLS asks the program ffmpeg for its version, past `ffmpeg_location`: there is none, and nothing is started.
        no_program = FFmpegPostProcessor._ffmpeg_location.set(self.params["ffmpeg_location"])
        try:
            yield
        finally:
            FFmpegPostProcessor._ffmpeg_location.reset(no_program)
            if self._held is not None:
                self._held.close()
            self.job = self._held = None

    @staticmethod
    def is_direct(info: Mapping[str, object]) -> bool:
        """Whether a result came from a plain link, about which no site said anything."""
        return bool(info.get("direct"))

    def build_request_director(self, handlers, preferences=None):
        """One handler: the one whose connections, redirects and answers are bounded here."""
        director = super().build_request_director([GuardedRH])
        for handler in director.handlers.values():
            handler.client = self
        return director

    def urlopen(self, req):
        """Send a request, or hand out the answer that an equal one got and nobody has begun to read."""
        request = Request(req) if isinstance(req, str) else req
        assert self.job is not None
        request.url = self.job.address(request.url)
        whole = request.headers.get("Accept-Encoding") == "identity" and "Range" not in request.headers
        held, self._held = self._held, None
        if held is not None and whole and not request.data and held.url == request.url and not held.began:
            self._held = held
            return held
        if held is not None:
            held.close()
        self.job.pace()
        answer = Answer(super().urlopen(request), self.job)
        self._held = answer if whole else None
        return answer

    def _refused(self, info: Mapping[str, object], *, incomplete: object = None) -> str | None:
        """What is not downloaded, in words; None for the rest. yt-dlp then goes on as if nothing had been asked for, so
        the reason is kept for whoever finds no file."""
        if not info.get("is_live"):
            return None
        if self.job is not None:
            self.job.trouble = SampleFailed(Reason.unsupported_site, "a live stream, which has no end")
        return "a live stream"

    def _forceprint(self, key, info_dict):
        """Print nothing: yt-dlp lays out four tables at seven points of every download, a third of what it takes, for
        templates that are not there."""

    def process_info(self, info_dict):
        """Download one result. The file's name is ours, so an ending of its address that is none of a media file (a
        script that serves video) is no reason to leave it: what it is, its bytes say."""
        if f".{info_dict.get('ext')}".lower() not in _DIRECT:
            info_dict["ext"] = "unknown_video"
        return super().process_info(info_dict)

    def dl(self, name, info, subtitle=False, test=False):
        """Download with the downloaders that stay in this thread and in sight of the policy."""
        if info.get("protocol") not in _PROTOCOLS:
            raise SampleFailed(Reason.unsupported_site, f"offered by {info.get('protocol')} only, which is not fetched")
        self._held = self._held if self._held is not None and not self._held.began else None
        return super().dl(name, info, subtitle, test)
