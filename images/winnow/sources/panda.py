"""Panda-70M's lists: one row per source video, whose clips stand in cells that hold Python lists of equal length.

| column | holds, of each clip |
|---|---|
| `url`, `videoID` | (of the video) its address, its YouTube id; one of them is enough |
| `timestamp` | start and end, `['0:00:14.180', '0:00:23.130']` |
| `caption` | its description |
| `matching_score` | how well the caption fits the picture |
| `desirable_filtering` | whether it suits training: `desirable`, `1_still_foreground_image`, … |
| `shot_boundary_detection` | its continuous shots, as pairs of times |

Source: snap-research/Panda-70M, dataset_dataloading, and the columns that its downloader asks for. One row becomes one
candidate per clip, numbered through the list; a row whose cells are no lists, or of unequal length, is one row with its
problem, since nobody can tell which caption belongs to which times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from winnow.sources.cells import records
from winnow.sources.columns import plain
from winnow.sources.literal import parse_list
from winnow.sources.row import Row
from winnow.sources.urls import shown

EXTENSIONS = frozenset({".csv", ".tsv"})
REQUIRED = frozenset({"timestamp", "caption"})
ADDRESSES = frozenset({"url", "videoid"})
#: Lists, and what each clip's item is called in its candidate.
LISTS = {
    "timestamp": "timestamp",
    "caption": "caption",
    "matching_score": "matching_score",
    "desirable_filtering": "desirable",
    "shot_boundary_detection": "shots",
}
MAX_CLIPS = 10_000
MAX_CAPTION_CHARS = 10_000


def looks_like(path: Path, head: str) -> bool:
    """Whether the header has Panda-70M's columns."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    names = {plain(cell.strip('" ')) for cell in first.split("\t" if "\t" in first else ",")}
    return names >= REQUIRED and bool(names & ADDRESSES) and len(names & LISTS.keys()) > len(REQUIRED)


def read(path: Path) -> Iterator[Row]:
    """Rows of a list, one per clip: url or youtube_id, id, start, end (h:mm:ss), caption, matching_score, desirable,
    shots, and `clip`, its place among its video's, from 0."""
    header: list[str] | None = None
    number = 0
    for line, cells, problem in records(path):
        if cells is not None and header is None:
            header = [plain(cell) for cell in cells]
            continue
        if cells is not None and len(cells) != len(header or ()):
            problem = f"line {line}: {len(cells)} cells under {len(header or ())} columns"
        if cells is None or problem is not None:
            yield Row(number, problem=problem)
            number += 1
            continue
        try:
            clips = _clips(dict(zip(header or (), cells, strict=True)))
        except ValueError as error:
            clips = [Row(0, problem=str(error))]
        for clip in clips:
            yield Row(number, clip.values, clip.problem and f"line {line}: {clip.problem}")
            number += 1


def _clips(cells: Mapping[str, str]) -> list[Row]:
    """A video's clips; one whose own items cannot be read is a problem. ValueError for a row that is broken."""
    lists = {}
    for column in LISTS:
        if cells.get(column):
            try:
                lists[column] = parse_list(cells[column])
            except ValueError as error:
                raise ValueError(f"{column}: {error}") from None
    lengths = {column: len(found) for column, found in lists.items()}
    if missing := REQUIRED - lists.keys():
        raise ValueError(f"no {', '.join(sorted(missing))}")
    if len(set(lengths.values())) > 1:
        raise ValueError(f"lists of unequal length: {', '.join(f'{name} {n}' for name, n in lengths.items())}")
    if not 0 < lengths["timestamp"] <= MAX_CLIPS:
        raise ValueError(f"{lengths['timestamp']} clips; 1 to {MAX_CLIPS} are wanted")
    video = {"url": cells.get("url") or None, "youtube_id": None, "id": cells.get("videoid") or None}
    if video["url"] is None:
        video["youtube_id"] = video["id"]
    rows = []
    for clip in range(lengths["timestamp"]):
        try:
            rows.append(Row(0, video | _clip(clip, {column: found[clip] for column, found in lists.items()})))
        except ValueError as error:
            rows.append(Row(0, problem=f"clip {clip}: {error}"))
    return rows


def _clip(clip: int, items: Mapping[str, object]) -> dict[str, object]:
    start, end = _pair(items["timestamp"])
    caption = items["caption"]
    caption = caption.replace("\x00", "") if isinstance(caption, str) else ""
    if not caption.strip() or len(caption) > MAX_CAPTION_CHARS:
        raise ValueError(f"its caption is no text of 1 to {MAX_CAPTION_CHARS} characters")
    score = items.get("matching_score")
    if score is not None and (isinstance(score, bool) or not isinstance(score, (int, float))):
        raise ValueError(f"its matching_score is {shown(str(score))}: a number is wanted")
    desirable = items.get("desirable_filtering")
    if desirable is not None and not isinstance(desirable, str):
        raise ValueError(f"its desirable_filtering is {shown(str(desirable))}: text is wanted")
    shots = items.get("shot_boundary_detection")
    if shots is not None and not isinstance(shots, list):
        raise ValueError(f"its shot_boundary_detection is {shown(str(shots))}: a list is wanted")
    return {
        "start": start,
        "end": end,
        "caption": caption.strip(),
        "matching_score": None if score is None else float(score),
        "desirable": desirable,
        "shots": None if shots is None else [list(_pair(shot)) for shot in shots],
        "clip": clip,
    }


def _pair(item: object) -> tuple[str, str]:
    """Start and end of a stretch, as they are written."""
    if not isinstance(item, list) or len(item) != 2 or not all(isinstance(time, (str, int, float)) for time in item):
        raise ValueError(f"{shown(str(item))} is no stretch: ['0:00:14.180', '0:00:23.130'] is wanted")
    return str(item[0]), str(item[1])
