"""VGGSound's lists, which have no header: `YouTube id, start (s), label, train or test`, and the test list, `<YouTube
id>_<start, six digits>.mp4, label`.

Source: hche11/VGGSound, data/vggsound.csv and data/test.csv. A clip lasts ten seconds from its start; a video may have
several clips. VGGSound's own split is kept as `vggsound_split`: it is not VGGSound-AVEL's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from winnow.sources import youtube_clips
from winnow.sources.cells import records, row_of
from winnow.sources.columns import is_known, plain
from winnow.sources.row import Row

EXTENSIONS = frozenset({".csv", ".tsv", ".txt"})
SPLITS = ("train", "test")


def looks_like(path: Path, head: str) -> bool:
    """Whether a line is one of a list of VGGSound, and the first one no header of another list."""
    lines = [line for line in head.splitlines() if line.strip()]
    return bool(lines) and not any(map(_is_name, lines[0].split(","))) and any(map(_is_row, lines))


def _is_name(cell: str) -> bool:
    """Whether a cell of the first line is a column's name, as other lists use it."""
    name = cell.strip().strip('"')
    return is_known(name) or plain(name) in ("file", "filename", "file_name", "path", "clip", "video", "category")


def _is_row(line: str) -> bool:
    cells = [cell.strip().strip('"') for cell in line.split(",")]
    if len(cells) >= 4 and youtube_clips.YOUTUBE_ID.match(cells[0]) and cells[-1] in SPLITS:
        return cells[1].isdigit()
    return len(cells) >= 2 and cells[0].endswith(".mp4") and _named(cells[0]) and not cells[1].isdigit()


def read(path: Path) -> Iterator[Row]:
    """Rows of a list: youtube_id, start, end (s), labels, vggsound_split (None in the test list)."""
    for number, (line, cells, problem) in enumerate(records(path)):
        yield row_of(number, line, cells, problem, _values)


def starts(path: Path) -> dict[tuple[str, str | None], float]:
    """The larger start, s, of each (YouTube id, label) of a list, and of each id under (id, None): what the authors of
    VGGSound-AVEL advise for their lists, which have no start (jasongief/CPSP, issues 3 and 5)."""
    found: dict[tuple[str, str | None], float] = {}
    for row in read(path):
        if row.values is None:
            continue
        values: Mapping[str, Any] = row.values
        video, (label,), start_s = values["youtube_id"], values["labels"], float(values["start"])
        for key in ((video, label), (video, None)):
            found[key] = max(start_s, found.get(key, 0.0))
    return found


def _values(cells: list[str]) -> dict[str, object]:
    if len(cells) == 2:
        video, start_s, end_s = youtube_clips.parse(cells[0])
        label, split = cells[1], None
        if start_s is None:
            raise ValueError(f"{cells[0]} names no start: <YouTube id>_<start>.mp4 does")
    elif len(cells) == 4:
        video, start, label, split = cells
        if not start.isdigit() or len(start) > 7:
            raise ValueError(f"the start is {start[:40]!r}: whole seconds are wanted")
        start_s, end_s = float(start), float(start) + youtube_clips.CLIP_S
        if split not in SPLITS:
            raise ValueError(f"the split is {split[:40]!r}: {' or '.join(SPLITS)} is wanted")
    else:
        raise ValueError(f"{len(cells)} cells; 4 (id, start, label, split) or 2 (file, label) are wanted")
    if not label:
        raise ValueError("no label")
    return {"youtube_id": video, "start": start_s, "end": end_s, "labels": [label], "vggsound_split": split}


def _named(name: str) -> bool:
    try:
        return youtube_clips.parse(name)[1] is not None
    except ValueError:
        return False
