"""What a file is by its first bytes. Names, extensions and a server's word count for nothing."""

from __future__ import annotations

from pathlib import Path

import filetype

from winnow.core.sample import Reason, SampleFailed

HEAD_BYTES = 8192
_QUICKTIME_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip"})
_TS_PACKET_BYTES = 188


def media_type(path: Path) -> tuple[str, str]:
    """(MIME type, extension) of a video or sound file; fails as `not_media` for anything else, and says what it is."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise SampleFailed(Reason.not_media, "an empty file")
    kind = filetype.guess(head)
    if kind is not None and kind.mime.partition("/")[0] in ("video", "audio"):
        return kind.mime, kind.extension
    if found := _container(head):
        return found
    raise SampleFailed(Reason.not_media, _other(head, kind.mime if kind else None))


def _container(head: bytes) -> tuple[str, str] | None:
    """Containers whose variants the signature library does not know."""
    if head[4:8] == b"ftyp":
        return "video/mp4", "mp4"
    if head[4:8] in _QUICKTIME_ATOMS:
        return "video/quicktime", "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return ("video/webm", "webm") if b"webm" in head[:64] else ("video/x-matroska", "mkv")
    if len(head) > 3 * _TS_PACKET_BYTES and all(head[i * _TS_PACKET_BYTES] == 0x47 for i in range(4)):
        return "video/mp2t", "ts"
    return None


def _other(head: bytes, mime: str | None) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if mime:
        return f"{mime}, neither video nor sound"
    if b"\x00" not in head and not any(b < 9 for b in head):
        return "text"
    return "bytes of no known kind"
