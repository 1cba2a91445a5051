"""ACAV100M's metadata list: one video a line, `<address or id><TAB><JSON>`, without a header.

Source: the released code's `filtering` step and its sample file. Numbers arrive as strings. The video's id is the last
11 characters of the first field. The duration is `LatestDAFeature.VideoLength` less 1 where that is a number (it counts
one second too many), else the first media version's `Duration`; where neither is a number it stays unknown (the
released code takes 0 and then drops the video as too short; here a rule of its own does, `acav_unknown_duration`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from winnow.sources import jsonl
from winnow.sources.columns import header_of
from winnow.sources.row import MAX_ROW_BYTES, Row

EXTENSIONS = frozenset({".tsv", ".txt"})
ID_CHARS = 11
#: Fields of the JSON that are kept beside those that every list has.
_KEPT = {"category": "YouTubeCategory", "published_at": "PubDate"}


def looks_like(path: Path, head: str) -> bool:
    """Whether a line is an address or id, a tab and the beginning of an object, and the first one no header of a
    general list."""
    lines = [line for line in head.splitlines() if line.strip()]
    rows = (line.partition("\t")[2].lstrip().startswith("{") for line in lines)
    return bool(lines) and not header_of(lines[0]).has_address and any(rows)


def read(path: Path) -> Iterator[Row]:
    """Rows of a metadata list: url or youtube_id, id, title, description, duration (s), category, published_at."""
    number = -1
    with path.open("rb") as file:
        for at, line in enumerate(jsonl.lines(file), 1):
            if not line.strip():
                continue
            number += 1
            yield _row(number, at, line)


def _row(number: int, at: int, line: bytes) -> Row:
    if len(line) > MAX_ROW_BYTES:
        return Row(number, problem=f"line {at}: longer than {MAX_ROW_BYTES} bytes")
    try:
        fields = line.decode("utf-8-sig").rstrip("\r\n").split("\t")
    except UnicodeDecodeError:
        return Row(number, problem=f"line {at}: not UTF-8; save the list as UTF-8")
    if len(fields) != 2:
        return Row(number, problem=f"line {at}: {len(fields)} fields; an address, one tab and a JSON object are wanted")
    address, text = fields[0].strip(), fields[1]
    try:
        value = json.loads(text, parse_constant=lambda name: None)
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        return Row(number, problem=f"line {at}: its second field is not JSON: {str(error)[:100]}")
    if not isinstance(value, dict):
        return Row(number, problem=f"line {at}: a JSON object is wanted, not {type(value).__name__}")
    latest, version = _object(value.get("LatestDAFeature")), _object(_first(value.get("MediaVersionList")))
    return Row(
        number,
        {
            **({"url": address} if "/" in address else {"youtube_id": address}),
            "id": address[-ID_CHARS:],
            "title": latest.get("Title"),
            "description": latest.get("Description"),
            "duration": _duration_s(latest.get("VideoLength"), version.get("Duration")),
            **{name: latest.get(key) for name, key in _KEPT.items()},
        },
    )


def _duration_s(length: object, duration: object) -> int | None:
    """Seconds, or None where neither field is a whole number."""
    for value, surplus in ((length, 1), (duration, 0)):
        text = str(value).strip()
        if not isinstance(value, bool) and text.isascii() and text.isdigit() and len(text) < ID_CHARS:
            return max(0, int(text) - surplus)
    return None


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
