"""LLP (Look, Listen and Parse), the data of audio-visual video parsing: tab-separated lists with a header.

    filename<TAB>event_labels                     train: what is there somewhere in the clip, separated by commas
    filename<TAB>onset<TAB>offset<TAB>event_labels   val and test: one event from onset to offset, s within the clip

Source: YapengTian/AVVP-ECCV20, data/AVVP_*.csv. A filename is `<YouTube id>_<start>_<end>`, a few with
fractions of seconds; some ids have lost hyphens at their ends, and as candidates fail as `bad_url`. Five published
events end where they begin and one ends before it begins: these lines are problems.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from winnow.sources import youtube_clips
from winnow.sources.cells import records
from winnow.sources.columns import plain
from winnow.sources.row import Row
from winnow.sources.urls import shown

EXTENSIONS = frozenset({".csv", ".tsv", ".txt"})
WHOLE = ("filename", "event_labels")
EVENTS = ("filename", "onset", "offset", "event_labels")


@dataclass(frozen=True)
class Line:
    """One line: the clip's video and times on its clock (s), its labels, and the event's times within the clip (s;
    None in a list of whole clips)."""

    video: str
    start_s: float
    end_s: float
    labels: tuple[str, ...]
    onset_s: float | None = None
    offset_s: float | None = None


def looks_like(path: Path, head: str) -> bool:
    """Whether the header is one of LLP's."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    return tuple(plain(cell) for cell in first.split("\t")) in (WHOLE, EVENTS)


def read(path: Path) -> Iterator[Row]:
    """Rows of candidates, one per clip where it first stands: youtube_id, start, end (s), labels. The events of one
    clip are joined; a line that is wrong is a problem of its own."""
    clips: dict[tuple[str, float, float], dict[str, None]] = {}
    problems = []
    for _, line, problem in lines(path):
        if line is None:
            problems.append(problem)
        else:
            clips.setdefault((line.video, line.start_s, line.end_s), {}).update(dict.fromkeys(line.labels))
    for number, ((video, start_s, end_s), labels) in enumerate(clips.items()):
        yield Row(number, {"youtube_id": video, "start": start_s, "end": end_s, "labels": list(labels)})
    for number, problem in enumerate(problems, len(clips)):
        yield Row(number, problem=problem)


def lines(path: Path) -> Iterator[tuple[int, Line | None, str | None]]:
    """(line from 1, what it says, None), or (line, None, problem), of every line but the header."""
    header: tuple[str, ...] | None = None
    for number, cells, problem in records(path):
        if cells is None:
            yield number, None, problem
        elif header is None:
            header = tuple(plain(cell) for cell in cells)
            if header not in (WHOLE, EVENTS):
                yield number, None, f"line {number}: no header of LLP: {', '.join(EVENTS)} or {', '.join(WHOLE)}"
                return
        else:
            try:
                yield number, _line(header, cells), None
            except ValueError as error:
                yield number, None, f"line {number}: {error}"


def _line(header: tuple[str, ...], cells: list[str]) -> Line:
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} cells under {len(header)} columns")
    video, start_s, end_s = youtube_clips.parse(cells[0], short_ids=True)
    if start_s is None or end_s is None:
        raise ValueError(f"{shown(cells[0])} names no clip: <YouTube id>_<start>_<end> does")
    labels = tuple(label.strip() for label in cells[-1].split(",") if label.strip())
    if not labels:
        raise ValueError("no label")
    if header == WHOLE:
        return Line(video, start_s, end_s, labels)
    onset_s, offset_s = _seconds(cells[1], "onset"), _seconds(cells[2], "offset")
    if offset_s == onset_s:
        raise ValueError(f"an event of 0 s, at {onset_s:g} s")
    if offset_s < onset_s:
        raise ValueError(f"the event ends at {offset_s:g} s, before it begins at {onset_s:g} s")
    if offset_s > end_s - start_s:
        raise ValueError(f"the event ends at {offset_s:g} s of a clip of {end_s - start_s:g} s")
    return Line(video, start_s, end_s, labels, onset_s, offset_s)


def _seconds(cell: str, name: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1e7:
        raise ValueError(f"{name} is {cell[:40]!r}: seconds from 0 on are wanted")
    return number
