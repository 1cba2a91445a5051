"""AudioSet's segment lists: three lines of comments, the last of which is the header, then one segment a line.

    # YTID, start_seconds, end_seconds, positive_labels
    --4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_"

Source: the segment files of AudioSet's download page (unbalanced_train, balanced_train, eval). Labels are ids of its
ontology (MIDs), in the list's order. What they are called, and whether anybody knows them, is a question to the class
list (dbt seed audioset_classes) and not to a reader: a label that is no class stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from winnow.sources.cells import one_record, row_of
from winnow.sources.row import MAX_ROW_BYTES, Row
from winnow.sources.urls import shown

EXTENSIONS = frozenset({".csv"})
#: Labels of a segment; AudioSet has at most 15.
MAX_LABELS = 600
_HEADER = re.compile(
    r"^#[ \t]*YTID[ \t]*,[ \t]*start_seconds[ \t]*,[ \t]*end_seconds[ \t]*,[ \t]*positive_labels[ \t]*$", re.IGNORECASE
)
#: A line as AudioSet writes it: fewer than 200 labels, each of them plain.
LINE = re.compile(
    rb'([A-Za-z0-9_-]{11}), (\d{1,6}\.\d{3}), (\d{1,6}\.\d{3}), "([a-z0-9_/]{1,40}(?:,[a-z0-9_/]{1,40}){0,200})"\r?\n'
)
_TIME = re.compile(r"\d{1,9}(?:\.\d{1,9})?\Z", re.ASCII)


def looks_like(path: Path, head: str) -> bool:
    """Whether the comments at a file's beginning hold the header of a segment list, and nothing else does."""
    for line in head.splitlines():
        if line.strip() and not line.startswith("#"):
            return False
        if _HEADER.match(line):
            return True
    return False


def read(path: Path) -> Iterator[Row]:
    """Rows of a list: youtube_id, start, end (s), labels (MIDs). Comments are no rows.

    There are millions of lines and nearly all are written as AudioSet writes them: one pattern takes those apart. Any
    other line is read as any list's is, and gives the same."""
    numbers = count()
    with path.open("rb") as file:
        line = 0
        while text := file.readline(MAX_ROW_BYTES + 1):
            line += 1
            if found := LINE.match(text):
                video, start, end, mids = found.groups()
                values = {
                    "youtube_id": video.decode(),
                    "start": float(start),
                    "end": float(end),
                    "labels": mids.decode().split(","),
                }
                yield Row(next(numbers), values)
                continue
            cells, problem = one_record(file, text, line)
            if cells or problem:
                yield row_of(next(numbers), line, cells, problem, values_of)


def values_of(cells: list[str]) -> dict[str, object]:
    """Values of a line's four cells; ValueError that says which cell is wrong, and what is wanted there."""
    if len(cells) != 4:
        raise ValueError(f"{len(cells)} cells; 4 (id, start, end, labels in quotes) are wanted")
    video, start, end, mids = cells
    for name, cell in (("start", start), ("end", end)):
        if not _TIME.match(cell):
            raise ValueError(f"the {name} is {shown(cell)}: seconds are wanted")
    labels = [label for label in map(str.strip, mids.split(",")) if label]
    if not labels or len(labels) > MAX_LABELS:
        raise ValueError(f"{len(labels)} labels; 1 to {MAX_LABELS} are wanted")
    return {"youtube_id": video, "start": float(start), "end": float(end), "labels": labels}
