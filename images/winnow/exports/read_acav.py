"""Reads ACAV100M's `output.csv`: shard, file, YouTube id, "[start, end]", without a header. A row that cannot be read
is a row with its problem and never an end."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OUTPUT = "output.csv"
#: What stands for an id and for times that are not known.
NO_ID = -1
NO_SEGMENT = [-1.0, -1.0]
MAX_FIELD_CHARS = 1 << 12
_SHARD = re.compile(r"[\w.-]{1,255}\Z")


@dataclass(frozen=True)
class AcavRow:
    """One row: `youtube_id`, `start_s`, `end_s` are None where the file says that they are not known; `problem` says
    what is wrong with one that cannot be read."""

    number: int
    shard: str | None = None
    filename: str | None = None
    youtube_id: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    problem: str | None = None


def read(path: Path) -> Iterator[AcavRow]:
    """Every row of an output.csv, in order."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = (line if len(line) <= MAX_FIELD_CHARS else "\n" for line in file)
        for number, fields in enumerate(csv.reader(lines)):
            try:
                yield _row(number, fields)
            except ValueError as error:
                yield AcavRow(number, problem=str(error))


def _row(number: int, fields: list[str]) -> AcavRow:
    if len(fields) != 4:
        raise ValueError(f"{len(fields)} fields; shard, file, id and segment are wanted")
    shard, filename, youtube_id, segment = fields
    if not _SHARD.match(shard) or not filename or "/" in filename or "\\" in filename:
        raise ValueError(f"{shard!r}, {filename!r}: a shard's and a file's name are wanted")
    try:
        start_s, end_s = (float(value) for value in json.loads(segment))
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"{segment[:50]!r} is no segment: [start, end] in seconds is wanted") from None
    known = [start_s, end_s] != NO_SEGMENT
    if known and not (math.isfinite(start_s) and math.isfinite(end_s) and 0 <= start_s < end_s):
        raise ValueError(f"{segment[:50]!r}: a segment begins at 0 or later and ends after its start")
    times = (start_s, end_s) if known else (None, None)
    return AcavRow(number, shard, filename, None if youtube_id == str(NO_ID) else youtube_id, *times)
