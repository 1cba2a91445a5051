"""ACAV100M's `output.csv`, which Winnow exports too: shard, file, YouTube id, "[start, end]", without a header.

Source: the released README and sample. -1 and [-1.0, -1.0] stand for an id and for times that are not known: a row
without an id names no video.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from winnow.sources import youtube_clips
from winnow.sources.cells import records, row_of
from winnow.sources.row import Row
from winnow.sources.urls import shown

EXTENSIONS = frozenset({".csv"})
_LINE = re.compile(
    r'[\w.-]{1,255},[^,"/\\]{1,255}\.mp4,(?:[A-Za-z0-9_-]{11}|-1),"\[ ?-?\d+(?:\.\d+)?, ?-?\d+(?:\.\d+)? ?\]"\s*\Z'
)
NOT_KNOWN = [-1.0, -1.0]


def looks_like(path: Path, head: str) -> bool:
    """Whether the first line that holds something is a row of such a file."""
    lines = [line for line in head.splitlines()[:5] if line.strip()]
    return any(_LINE.match(line) for line in lines)


def read(path: Path) -> Iterator[Row]:
    """Rows of a file: youtube_id, start, end (s), shard, filename."""
    for number, (line, cells, problem) in enumerate(records(path)):
        yield row_of(number, line, cells, problem, _values)


def _values(cells: list[str]) -> dict[str, object]:
    if len(cells) != 4:
        raise ValueError(f"{len(cells)} cells; 4 (shard, file, id, segment) are wanted")
    shard, filename, video, segment = cells
    try:
        start_s, end_s = (float(value) for value in json.loads(segment))
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"{shown(segment)} is no segment: [start, end] in seconds is wanted") from None
    if video == "-1":
        raise ValueError("no YouTube id (-1): nobody can fetch it")
    if not youtube_clips.YOUTUBE_ID.match(video):
        raise ValueError(f"{shown(video)} is no YouTube id")
    known = [start_s, end_s] != NOT_KNOWN
    return {
        "youtube_id": video,
        "start": start_s if known else None,
        "end": end_s if known else None,
        "shard": shard,
        "filename": filename,
    }
