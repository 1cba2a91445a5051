"""Addresses of videos: which strings are one, and which of them name the same video.

The forms of a YouTube address are one video, `youtube:<id>`. Any other address is canonical in the sense of RFC 3986,
section 6.2.2: scheme and host in lower case, no default port, no fragment. Nothing that a server could tell apart is
touched: query strings stay as they are.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs, urlsplit

from winnow.core.sample import Reason, SampleFailed

MAX_CHARS = 4096
#: Schemes that read from the machine they are opened on. A list that names one asks for what is not its own.
LOCAL_SCHEMES = frozenset({"file", "inbox", "data", "javascript", "about", "blob", "smb", "gopher", "jar"})
DEFAULT_PORTS = {"http": 80, "https": 443}
YOUTUBE_HOSTS = frozenset({"youtube.com", "youtube-nocookie.com", "youtu.be"})
#: The form that most lists write, and `youtube_url` too: it needs no taking apart.
_WATCH = re.compile(r"https://www\.youtube\.com/watch\?v=([A-Za-z0-9_-]{11})\Z")
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}\Z")
_YOUTUBE_PATH = re.compile(r"/(?:embed|v|e|shorts|live)/([^/?#]+)")
_BARE_HOST = re.compile(r"(?:www\.[\w-]+\.\w+|(?:m\.)?youtube\.com|youtu\.be)/", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
#: Addresses that are canonical as they stand, but for a fragment, an empty query and YouTube's: a host in lower case
#: without user and port, and printable ASCII. Most of a list's are, and taking them apart is what costs.
_PLAIN = re.compile(r"https?://(?:[a-z0-9-]+\.)+[a-z0-9-]+/[!-~]*\Z")
#: Most parameters of a query.
MAX_FIELDS = 1000
#: 1h2m3s, as YouTube writes where to begin; a bare number is seconds.
_BEGIN = re.compile(r"(?=.)(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,8}(?:\.\d+)?)s?)?\Z", re.ASCII)


def youtube_url(video: str) -> str:
    """The watch page of a YouTube id; fails as `bad_url` when it cannot be one."""
    if not _YOUTUBE_ID.match(video):
        raise SampleFailed(Reason.bad_url, f"{shown(video)} is no YouTube id: 11 letters, digits, '-' or '_' are")
    return f"https://www.youtube.com/watch?v={video}"


def check(text: str) -> str:
    """The address as it will be fetched; SampleFailed with `bad_url` or `blocked_scheme` when it is none.

    An address without a scheme is taken as https where it begins like one (www.…, youtube.com/, youtu.be/)."""
    if len(text) > MAX_CHARS:
        raise SampleFailed(Reason.bad_url, f"an address of {len(text)} characters; the most is {MAX_CHARS}")
    if _PLAIN.match(text) and text.count("&") < MAX_FIELDS:
        return text
    if _BARE_HOST.match(text):
        text = f"https://{text}"
    scheme = _SCHEME.match(text)
    if scheme and (scheme[1].lower() in LOCAL_SCHEMES or (text[scheme.end() :].startswith("//") and _other(scheme[1]))):
        what = f"a list may not name {scheme[1].lower()}: addresses, only http and https"
        raise SampleFailed(Reason.blocked_scheme, what)
    parts = _split(text)
    if parts is None or not parts.scheme or not parts.hostname:
        raise SampleFailed(Reason.bad_url, f"{shown(text)} is no address: http:// or https:// and a host is wanted")
    if not text.isprintable() or " " in text:  # of what is printable, only a space parts words
        raise SampleFailed(Reason.bad_url, f"{shown(text)} holds spaces or control characters: percent-encode them")
    if "@" in parts.netloc:
        raise SampleFailed(Reason.bad_url, f"the address of {parts.hostname} holds a user name: take it out")
    return text


def canonical(url: str) -> str:
    """What names the video in its id: 'youtube:<id>' for YouTube's forms, else the canonical address."""
    if watch := _WATCH.match(url):
        return f"youtube:{watch[1]}"
    if _PLAIN.match(url) and "#" not in url and url[-1] != "?" and "youtu" not in url:
        return url
    parts = urlsplit(url)
    video = youtube_id(parts)
    if video:
        return f"youtube:{video}"
    host, scheme = (parts.hostname or "").rstrip("."), parts.scheme.lower()
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, DEFAULT_PORTS.get(scheme)) else f":{parts.port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{host}{port}{parts.path or '/'}{query}"


def youtube_id(parts: SplitResult) -> str | None:
    """The id in an address of YouTube (watch, short link, embed, shorts, live), or None."""
    host = (parts.hostname or "").lower().rstrip(".")
    for prefix in ("www.", "m.", "music."):
        host = host.removeprefix(prefix)
    if host not in YOUTUBE_HOSTS or parts.scheme.lower() not in DEFAULT_PORTS:
        return None
    if host == "youtu.be":
        found = parts.path.strip("/").partition("/")[0]
    elif in_path := _YOUTUBE_PATH.match(parts.path):
        found = in_path[1]
    else:
        found = (parse_qs(parts.query, max_num_fields=50).get("v") or [""])[0]
    return found if _YOUTUBE_ID.match(found) else None


def times_in(url: str) -> tuple[str | None, str | None]:
    """The start and end that an address itself gives, as they are written for `shapes.seconds`; None for each that it
    does not give: a media fragment (`#t=10,20`, W3C Media Fragments 1.0, section 4.2.1), and YouTube's `t`, `start` and
    `end`."""
    if "t=" not in url and "end=" not in url:
        return None, None
    parts = urlsplit(url)
    fragment = parse_qs(parts.fragment, max_num_fields=MAX_FIELDS).get("t", [""])[0].removeprefix("npt:")
    start, _, end = fragment.partition(",")
    if not (start or end) and youtube_id(parts):
        query = parse_qs(parts.query, max_num_fields=MAX_FIELDS)
        start, end = (query.get("t") or query.get("start") or [""])[0], query.get("end", [""])[0]
    return _seconds(start), _seconds(end)


def _seconds(text: str) -> str | None:
    """'90', '90s' and '1m30s' in seconds; h:mm:ss as it is."""
    if not (found := _BEGIN.match(text)):
        return text or None
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return f"{hours * 3600 + minutes * 60 + seconds:g}"


def shown(text: str) -> str:
    """A value of a list as a message may show it: short, and without control characters."""
    clean = "".join(c if c.isprintable() else "?" for c in text[:80])
    return repr(clean) + ("…" if len(text) > 80 else "")


def _other(scheme: str) -> bool:
    return scheme.lower() not in DEFAULT_PORTS


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 (raises for a port that is no number)
        parse_qs(parts.query, max_num_fields=MAX_FIELDS)
    except ValueError:
        return None
    return parts
