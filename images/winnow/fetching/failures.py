"""Failures: what went wrong with a download, as a Reason.

Libraries wrap each other's exceptions three deep; the classification walks down to the first thing that means
something: a status, an address that was refused, an operating system's error. Details name no host address, port, path
or clock, so that the same world gives the same rows wherever it is fetched from.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl

from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, RequestError, TransportError
from yt_dlp.utils import ContentTooShortError, DownloadError, ExtractorError, GeoRestrictedError, UnsupportedError

from winnow.core.own_fault import chain
from winnow.core.sample import Reason, SampleFailed
from winnow.fetching.egress import Blocked, Guard

_BY_STATUS = {
    401: Reason.forbidden,
    402: Reason.forbidden,
    403: Reason.forbidden,
    451: Reason.forbidden,
    404: Reason.gone,
    410: Reason.gone,
    408: Reason.timeout,
    425: Reason.throttled,
    429: Reason.throttled,
}
#: What sites say in words, in the order in which the words are looked for.
_BY_WORDS = (
    (
        r"\b(sign in|log ?in|private|members?[- ]only|premium|confirm your age|geo|not available (in|from))",
        Reason.forbidden,
    ),
    (r"\b(removed|deleted|unavailable|terminated|no longer|does ?n.t exist|not exist|not found)", Reason.gone),
    (r"\b(rate.?limit|too many requests|try again later)", Reason.throttled),
)
NO_FORMAT = (
    "offers no file that holds picture and sound together, or none that stage fetch's parameter `format` asks for; "
    "separate streams are not joined"
)
_ADDRESS = re.compile(r"\b\w+://\S+")


def explain(error: BaseException | None, guard: Guard, trouble: BaseException | None = None) -> SampleFailed:
    """The failure that an exception stands for. What the policy refused, or the deadline ended, comes before whatever a
    library made of it; `trouble`, the last answer that broke off, where the exception names no cause. An exception that
    nobody foresaw is raised again, as it is."""
    if guard.blocked is not None:
        return SampleFailed(guard.blocked.reason, guard.blocked.detail)
    if guard.aborted:
        return SampleFailed(Reason.timeout, "not complete within the time for one file")
    assert error is not None
    links = list(chain(error))
    for link in links:
        if isinstance(link, SampleFailed):
            return link
        if isinstance(link, Blocked):
            return SampleFailed(link.reason, link.detail)
    for link in links:
        if found := _of(link):
            return found
    for link in links:
        if isinstance(link, ExtractorError):
            return _of_site(link)
    if trouble is not None:
        return explain(trouble, guard)
    if any(isinstance(link, (TransportError, OSError, http.client.HTTPException)) for link in links):
        return SampleFailed(Reason.incomplete, "the connection broke")
    if any(isinstance(link, RequestError) for link in links):
        return SampleFailed(Reason.unsupported_site, "needs a kind of request that is not made")
    if isinstance(error, DownloadError):
        return SampleFailed(Reason.unsupported_site, _words(error.msg or str(error)))
    raise error


def _of(error: BaseException) -> SampleFailed | None:
    """The failure that one exception means by itself, or None."""
    if isinstance(error, HTTPError):
        return _of_status(error.status, error.redirect_loop)
    if isinstance(error, UnsupportedError):
        return SampleFailed(Reason.not_media, "a page without a video")
    if isinstance(error, GeoRestrictedError):
        return SampleFailed(Reason.forbidden, "not offered to this country")
    if isinstance(error, (TimeoutError, socket.timeout)):
        return SampleFailed(Reason.timeout, "silent for longer than the timeout")
    if isinstance(error, socket.gaierror):
        return SampleFailed(Reason.unresolved_host, "its host has no address")
    if isinstance(error, ssl.SSLCertVerificationError):
        return SampleFailed(Reason.refused, "its certificate does not verify")
    if isinstance(error, ConnectionRefusedError):
        return SampleFailed(Reason.refused, "its host refused the connection")
    if isinstance(error, (IncompleteRead, ContentTooShortError, http.client.IncompleteRead)):
        return SampleFailed(Reason.incomplete, "fewer bytes came than were promised")
    if isinstance(error, (ConnectionError, http.client.RemoteDisconnected)):
        return SampleFailed(Reason.incomplete, "the connection broke")
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return SampleFailed(Reason.refused, "its host cannot be reached")
    return None


_UNREACHABLE = frozenset({100, 101, 111, 112, 113})  # ENETDOWN, ENETUNREACH, ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH


def _of_status(status: int, loop: bool) -> SampleFailed:
    if loop:
        return SampleFailed(Reason.server_error, "redirects in a circle")
    if reason := _BY_STATUS.get(status):
        return SampleFailed(reason, f"HTTP {status}")
    return SampleFailed(Reason.forbidden if 400 <= status < 500 else Reason.server_error, f"HTTP {status}")


def _of_site(error: ExtractorError) -> SampleFailed:
    """What a site says in words, classified by them."""
    words = _words(error.orig_msg or str(error))
    if words.startswith("Requested format is not available"):
        return SampleFailed(Reason.unsupported_site, NO_FORMAT)
    reason = next((r for said, r in _BY_WORDS if re.search(said, words, re.IGNORECASE)), Reason.unsupported_site)
    return SampleFailed(reason, words)


def _words(message: str) -> str:
    """A library's message without addresses, marks and advice."""
    text = _ADDRESS.sub("…", re.sub(r"\x1b\[[\d;]*m", "", message)).partition("; please report")[0]
    return " ".join(text.removeprefix("ERROR: ").split())[:200] or "the site said nothing"
