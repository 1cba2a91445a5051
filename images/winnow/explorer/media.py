"""One clip's bytes, or those of what was left of its sound, out of the tar of a shard, with ranges: a browser can seek
only where a server answers them.

A tar's members are indexed once; of a clip only the bytes that were asked for are read. Names come from the published
tables and never from a request.
"""

from __future__ import annotations

import re
import tarfile
from functools import lru_cache

from fastapi import HTTPException, Request
from starlette.responses import Response

from winnow.core.lake import Lake
from winnow.core.sample import sid

#: Most bytes of one answer to a range; a browser asks again for the rest.
MAX_RANGE_BYTES = 4 << 20
TYPES = {"mp4": "video/mp4", "flac": "audio/flac"}
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


class Media:
    """Files of a lake's tars."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._members = lru_cache(maxsize=512)(self._index)

    def response(self, request: Request, tar: str, sample_id: str, kind: str = "mp4") -> Response:
        """A file of a clip, of one of TYPES: 200 with all of it, 206 with a range, 304 when the browser has it, 416 for
        a range that is not in it; 404 when the tar or the member is gone."""
        try:
            offset, size = self._members(tar)[f"{sample_id}.{kind}"]
        except (KeyError, OSError, tarfile.TarError) as error:
            raise HTTPException(404, f"The file of clip {sample_id} is not in the lake any more.") from error
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, max-age=3600",
            "ETag": f'"{sid(tar, sample_id)}"',
        }
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        wanted = request.headers.get("range")
        if wanted is not None and request.headers.get("if-range", headers["ETag"]) != headers["ETag"]:
            wanted = None
        found = _RANGE.match(wanted or "")
        if found is None or found.groups() == ("", ""):
            first, last, status = 0, size - 1, 200
        else:
            first, last = _span(found[1], found[2], size)
            status = 206
            if first > last or first >= size:
                return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
            last = min(last, first + MAX_RANGE_BYTES - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        data = b"" if request.method == "HEAD" else self._bytes(tar, offset + first, last - first + 1)
        headers["Content-Length"] = str(last - first + 1)
        return Response(data, status, headers, media_type=TYPES[kind])

    def read(self, tar: str, sample_id: str, kind: str = "mp4") -> bytes | None:
        """A file of a clip, whole; None when the tar or the member is gone."""
        try:
            return self._bytes(tar, *self._members(tar)[f"{sample_id}.{kind}"])
        except (KeyError, OSError, tarfile.TarError):
            return None

    def _index(self, tar: str) -> dict[str, tuple[int, int]]:
        with self.lake.fs.open(self.lake.full(tar), "rb") as file, tarfile.open(fileobj=file, mode="r:") as members:
            return {m.name: (m.offset_data, m.size) for m in members if m.isfile()}

    def _bytes(self, tar: str, offset: int, length: int) -> bytes:
        with self.lake.fs.open(self.lake.full(tar), "rb") as file:
            file.seek(offset)
            return file.read(length)


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    """First and last byte of a range: from, from to, or the last so many."""
    if not first:
        return max(0, size - int(last)), size - 1 if int(last) else -1
    return int(first), min(int(last), size - 1) if last else size - 1
