"""AVE's annotations: `Category&VideoID&Quality&StartTime&EndTime`, one event a line, with or without that header.

Source: YapengTian/AVE-ECCV18, data/Annotations.txt (trainSet.txt, valSet.txt and testSet.txt are written the same way).
The times are those of the event, whole seconds within a clip of ten seconds, the end exclusive; which ten seconds of
the YouTube video the clip is, the file does not say. AudioSet, of which AVE is a part, does: where one of its segment
lists (`# YTID, start_seconds, end_seconds, positive_labels`) lies beside, the times are taken from it, and otherwise
the candidate is the video. The event's times stay beside it. A video with two events stands in two lines, which are one
candidate with both categories, and two rows among the labels.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from winnow.sources import youtube_clips
from winnow.sources.cells import records
from winnow.sources.row import MAX_ROW_BYTES, Row
from winnow.sources.urls import shown

EXTENSIONS = frozenset({".txt", ".csv"})
COLUMNS = ("category", "videoid", "quality", "starttime", "endtime")
SEPARATOR = "&"
#: The header of AudioSet's segment lists; so many CSV files of a folder are looked at.
_AUDIOSET = re.compile(rb"^#\s*YTID\s*,\s*start_seconds\s*,\s*end_seconds", re.MULTILINE)
MAX_LISTS = 64


@dataclass(frozen=True)
class Event:
    """One line: times in s from the clip's start."""

    category: str
    video: str
    quality: str
    start_s: int
    end_s: int


def looks_like(path: Path, head: str) -> bool:
    """Whether a line is the header, or one of the file's."""
    for cells in map(_cells, head.splitlines()):
        if len(cells) == len(COLUMNS) and youtube_clips.YOUTUBE_ID.match(cells[1]) and cells[3].isdigit():
            return True
        if _is_header(cells):
            return True
    return False


def read(path: Path) -> Iterator[Row]:
    """Rows of candidates: youtube_id, start, end (s; None where not known), labels, quality, event_start_s,
    event_end_s."""
    found = list(events(path))
    times = times_in(path.parent, {event.video for _, event, _ in found if event is not None})
    for number, (_, event, problem) in enumerate(found):
        if event is None:
            yield Row(number, problem=problem)
            continue
        start_s, end_s = times.get(event.video, (None, None))
        values = {"youtube_id": event.video, "start": start_s, "end": end_s, "labels": [event.category]}
        about = {"quality": event.quality, "event_start_s": event.start_s, "event_end_s": event.end_s}
        yield Row(number, values | about)


def times_in(folder: Path, videos: Collection[str]) -> dict[str, tuple[float, float]]:
    """Start and end, s, of videos' clips from AudioSet's segment lists in a folder."""
    found: dict[str, tuple[float, float]] = {}
    for path in sorted(folder.glob("*.csv"))[:MAX_LISTS]:
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            if not _AUDIOSET.search(file.read(4096)):
                continue
        for _, cells, _ in records(path):
            if cells and len(cells) >= 3 and cells[0] in videos and cells[0] not in found:
                with contextlib.suppress(ValueError):
                    start_s, end_s = float(cells[1]), float(cells[2])
                    if 0 <= start_s < end_s <= youtube_clips.MAX_TIME_S:
                        found[cells[0]] = start_s, end_s
    return found


def events(path: Path) -> Iterator[tuple[int, Event | None, str | None]]:
    """(line from 1, event, None), or (line, None, problem), of every line but the header and empty ones."""
    with path.open("rb") as file:
        number = 0
        first = True
        while line := file.readline(MAX_ROW_BYTES + 1):
            number += 1
            if not line.strip():
                continue
            try:
                cells = _cells(line.decode("utf-8-sig"))
                if first and _is_header(cells):
                    continue
                yield number, _event(cells), None
            except UnicodeDecodeError:
                yield number, None, f"line {number}: not UTF-8; save the file as UTF-8"
            except ValueError as error:
                yield number, None, f"line {number}: {error}"
            finally:
                first = False


def _event(cells: list[str]) -> Event:
    if len(cells) != len(COLUMNS):
        raise ValueError(f"{len(cells)} fields; {len(COLUMNS)} separated by '{SEPARATOR}' are wanted")
    category, video, quality, start, end = cells
    if not category:
        raise ValueError("no category")
    if not youtube_clips.YOUTUBE_ID.match(video):
        raise ValueError(f"{shown(video)} is no YouTube id: 11 letters, digits, '-' or '_' are")
    if not all(text.isascii() and text.isdigit() and len(text) <= 3 for text in (start, end)):
        raise ValueError(f"an event from {shown(start)} to {shown(end)}: whole seconds are wanted")
    start_s, end_s = int(start), int(end)
    if end_s > youtube_clips.CLIP_S:
        raise ValueError(f"the event ends at {end_s} s of a clip of {youtube_clips.CLIP_S} s")
    if end_s <= start_s:
        raise ValueError(f"an event of {end_s - start_s} s, from {start_s} to {end_s} s")
    return Event(category, video, quality, start_s, end_s)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(SEPARATOR)]


def _is_header(cells: list[str]) -> bool:
    return tuple(cell.lstrip("\ufeff").lower() for cell in cells) == COLUMNS
