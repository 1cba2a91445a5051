"""VGGSound-AVEL's lists: a CSV whose header has at least `category`, `video_id` and `split` (train, val, test).

Source: jasongief/CPSP, vggsound-avel100k.csv. The authors' lists have no start although VGGSound has several clips of
some videos; where a list of VGGSound lies beside, the larger start of that video and category is taken, as they advise
(issues 3 and 5), and otherwise the candidate is the video. Winnow's own exports have a column `start`, s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from winnow.sources import vggsound, youtube_clips
from winnow.sources.cells import records
from winnow.sources.columns import Header, plain
from winnow.sources.row import Row

EXTENSIONS = frozenset({".csv", ".tsv"})
REQUIRED = ("category", "video_id", "split")
SPLITS = ("train", "val", "test")
_STARTS = ("start", "start_s", "start_seconds")
#: A list beside is told by its beginning: so many bytes of at most so many files are looked at.
HEAD_BYTES = 65536
MAX_LISTS = 64


def looks_like(path: Path, head: str) -> bool:
    """Whether the header has VGGSound-AVEL's columns, and none with addresses: a list that has is a general one."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    names = [plain(cell.strip('" ')) for cell in first.split("\t" if "\t" in first else ",")]
    return set(REQUIRED) <= set(names) and not Header(names).has_address


def read(path: Path) -> Iterator[Row]:
    """Rows of a list: youtube_id (or url), start, end (s; None where not known), labels, avel_split."""
    starts = starts_in(path.parent)
    for row in rows(path):
        if row.values is None:
            yield row
            continue
        values: Mapping[str, Any] = row.values
        video, category, start_s = values["video"], values["category"], values["start_s"]
        if start_s is None:
            start_s = start_of(starts, str(video), str(category))
        end_s = None if start_s is None else float(start_s) + youtube_clips.CLIP_S
        name = "youtube_id" if youtube_clips.YOUTUBE_ID.match(str(video)) else "url"
        found = {name: video, "start": start_s, "end": end_s, "labels": [category], "avel_split": values["split"]}
        yield Row(row.number, found)


def rows(path: Path) -> Iterator[Row]:
    """Rows as they stand in a list: video (YouTube id or address), start_s (None where there is none), category,
    split."""
    header: list[str] | None = None
    number = 0
    for line, cells, problem in records(path):
        if cells is None:
            yield Row(number, problem=problem)
        elif header is None:
            header = [plain(cell) for cell in cells]
            if lacking := [name for name in REQUIRED if name not in header]:
                yield Row(0, problem=f"line {line}: its header has no column {', '.join(lacking)}")
                return
            continue
        elif len(cells) != len(header):
            yield Row(number, problem=f"line {line}: {len(cells)} cells under {len(header)} columns")
        else:
            try:
                yield Row(number, _values(dict(zip(header, cells, strict=True))))
            except ValueError as error:
                yield Row(number, problem=f"line {line}: {error}")
        number += 1


def start_of(starts: Mapping[tuple[str, str | None], float], video: str, category: str | None) -> float | None:
    """Start of a video's clip of a category, s, or of its last clip where it has none of that category."""
    return starts.get((video, category), starts.get((video, None)))


def starts_in(folder: Path) -> dict[tuple[str, str | None], float]:
    """Starts by video and label from the list of VGGSound in a folder; empty without one."""
    for path, head in lists_in(folder):
        if vggsound.looks_like(path, head):
            return vggsound.starts(path)
    return {}


def lists_in(folder: Path) -> Iterator[tuple[Path, str]]:
    """The CSV files of a folder and their beginnings, ordered by name."""
    for path in sorted(folder.glob("*.csv"))[:MAX_LISTS]:
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                yield path, file.read(HEAD_BYTES).decode("utf-8-sig", "replace")


def _values(cells: Mapping[str, str]) -> dict[str, object]:
    category, video, split = (cells[name] for name in REQUIRED)
    if not category:
        raise ValueError("no category")
    if split not in SPLITS:
        raise ValueError(f"the split is {split[:40]!r}: {', '.join(SPLITS)} are wanted")
    start = next((cells[name] for name in _STARTS if cells.get(name)), None)
    start_s = None
    if "/" not in video:
        video, start_s, _ = youtube_clips.parse(video)
    if start is not None:
        try:
            start_s = float(start)
        except ValueError:
            start_s = -1.0
        if not 0 <= start_s <= 1e7:
            raise ValueError(f"the start is {start[:40]!r}: seconds from 0 on are wanted")
    return {"video": video, "start_s": start_s, "category": category, "split": split}
