"""Transport: the HTTP that yt-dlp gets: the standard library's, with every request and answer bounded.

No proxy, no other scheme than http and https; redirects are judged, counted, paced and mirrored like requests; a page
is read, and unpacked, only up to a size.
"""

from __future__ import annotations

import contextlib
import io
import zlib
from urllib.parse import urljoin
from urllib.request import OpenerDirector
from urllib.response import addinfourl

from yt_dlp.networking import Response
from yt_dlp.networking import _urllib as rh
from yt_dlp.networking.exceptions import IncompleteRead, TransportError

from winnow.core.sample import Reason, SampleFailed
from winnow.fetching.egress import Blocked
from winnow.fetching.job import Job, Working

#: Largest page, manifest or playlist that an extractor may read, bytes; media is bounded by the deployment.
MAX_PAGE_BYTES = 32 << 20
BLOCK_BYTES = 1 << 18


class Answer(Response):
    """A response that says whether it has been read from; as a whole, it is read only up to a page's size."""

    def __init__(self, inner: Response, job: Job) -> None:
        super().__init__(inner, inner.url, inner.headers, inner.status, inner.reason, inner.extensions)
        self.job, self.began, self._came = job, False, 0
        length = inner.headers.get("Content-Length", "")
        self._promised = int(length) if length.isdigit() and not inner.headers.get("Content-Encoding") else 0

    def read(self, amt: int | None = None) -> bytes:
        """Bytes of the body; all of them without `amt`, and then too_large beyond a page."""
        self.began = True
        if amt is not None:
            return self._block(amt)
        blocks, size = [], 0
        while block := self._block(BLOCK_BYTES):
            size += len(block)
            if size > MAX_PAGE_BYTES:
                raise SampleFailed(Reason.too_large, f"a page of more than {MAX_PAGE_BYTES >> 20} MiB")
            blocks.append(block)
        return b"".join(blocks)

    def _block(self, amt: int) -> bytes:
        try:
            block = self.fp.read(amt)
        except TransportError as error:
            self.job.trouble = error
            raise
        self._came += len(block)
        if not block and self._came < self._promised:
            self.job.trouble = IncompleteRead(self._came)
        elif not block and not self._came:
            self.job.trouble = SampleFailed(Reason.not_media, "the answer holds no bytes")
        return block


class GuardedRH(rh.UrllibRH):
    """urllib, with http and https alone, no proxy, and redirects that are judged and mirrored like any request."""

    _SUPPORTED_URL_SCHEMES = ("http", "https")
    RH_NAME = "winnow"
    client: Working

    def _create_instance(self, proxies, cookiejar, legacy_ssl_support=None):
        opener = OpenerDirector()
        opener.addheaders = []
        for handler in (
            _Http(context=self._make_sslcontext(legacy_ssl_support=legacy_ssl_support)),
            rh.HTTPCookieProcessor(cookiejar),
            rh.UnknownHandler(),
            rh.HTTPDefaultErrorHandler(),
            rh.HTTPErrorProcessor(),
            _Redirects(self),
        ):
            opener.add_handler(handler)
        return opener

    def _send(self, request):
        try:
            return super()._send(request)
        except (Blocked, SampleFailed) as refused:
            raise TransportError(cause=refused) from refused


class _Redirects(rh.RedirectHandler):
    """Counts redirects; each target's scheme is judged, and mirrored where the deployment has a mirror."""

    def __init__(self, handler: GuardedRH) -> None:
        self._handler = handler

    def http_error_302(self, req, fp, code, msg, headers):
        job = self._handler.client.job
        target = headers.get("location") or headers.get("uri")
        if target:
            job.redirects += 1
            job.pace()
            target = job.address(urljoin(req.full_url, target))
            for name in ("location", "uri"):
                del headers[name]
            headers["location"] = target
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Http(rh.HTTPHandler):
    """Answers in gzip or deflate are unpacked up to a page's size, not further: a small file can hold a huge one."""

    def http_response(self, req, resp):
        codings = [c.strip().lower() for c in resp.headers.get("Content-Encoding", "").split(",") if c.strip()]
        if not codings or any(c not in ("gzip", "x-gzip", "deflate", "identity") for c in codings):
            return resp
        data = resp.read(MAX_PAGE_BYTES)
        for coding in reversed(codings):
            data = data if coding == "identity" else _unpacked(data, coding)
        answer = addinfourl(io.BytesIO(data), resp.headers, resp.url, resp.code)
        answer.msg = resp.msg
        return answer

    https_response = http_response


def _unpacked(data: bytes, coding: str) -> bytes:
    """A body without one of its codings; too_large beyond a page's size."""
    for bits in (-zlib.MAX_WBITS, zlib.MAX_WBITS) if coding == "deflate" else (zlib.MAX_WBITS | 16,):
        unpacker = zlib.decompressobj(bits)
        with contextlib.suppress(zlib.error):
            plain = unpacker.decompress(data, MAX_PAGE_BYTES)
            if unpacker.unconsumed_tail:
                raise SampleFailed(Reason.too_large, f"a page of more than {MAX_PAGE_BYTES >> 20} MiB")
            return plain
    raise SampleFailed(Reason.incomplete, f"its {coding} coding is broken")
