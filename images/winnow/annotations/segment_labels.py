"""Segment labels: in which of a clip's ten seconds an event of a category is there, that is, audible and visible.

The definition is that of AVE and VGGSound-AVEL (jasongief/CPSP): ten one-second segments; several intervals are
allowed, as in `[0,1,1,1,1,1,0,1,1,1]`. LLP says of each second what is audible and what is visible, apart. All of them
become rows of the corpus table `segment_label`; so do the answers of people (CSV, Label Studio, the explorer) and
Winnow's own proposals, whose annotator is `proposal:<digest>`. Which answer counts for a clip is decided in SQL
(int_avel_labels).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from winnow.annotations import label_studio, published_segments, values
from winnow.annotations.segments import SEGMENTS, ten
from winnow.core.sample import SampleFailed
from winnow.core.spreadsheet import as_written, harmless
from winnow.sources import ave, llp, youtube_clips
from winnow.sources.cells import records
from winnow.sources.columns import plain
from winnow.sources.row import Row
from winnow.sources.urls import shown

#: Dataset families that a label may belong to; labels of one's own clips are of `avel`.
FAMILIES = ("ave", "avel", "llp")
#: What a proposal's annotator begins with.
PROPOSAL = "proposal:"
#: Column of the table → names that it goes by in a CSV, as `columns.plain` writes them.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "sample_id": ("sample_id", "clip_id"),
    "family": ("family",),
    "video": ("video", "video_id", "youtube_id", "url"),
    "start_s": ("start_s", "start", "start_seconds"),
    "end_s": ("end_s", "end", "end_seconds"),
    "category": ("category", "label"),
    "annotator_id": ("annotator_id", "annotator", "rater_id", "rater"),
    "created_at": ("created_at", "annotated_at", "timestamp"),
}
#: Ten columns of 0 or 1 each: `second_0` … `second_9`, and where known `audible_0` …, `visible_0` …
TRACKS = {"labels": "second", "audible": "audible", "visible": "visible"}
_COLUMNS = {alias: column for column, names in ALIASES.items() for alias in names}


def read_labels(path: Path) -> Iterator[Row]:
    """Rows of the table `segment_label`, in the order of the file.

    Read are: our CSV, Label Studio's JSON, AVE's annotations, VGGSound-AVEL's labels (JSON, or zips of npy, JSON or CSV
    files; pickles are refused), LLP's lists of audible and of visible events, and a folder of such files. What cannot
    be used is a Row with a `problem` and no values.
    """
    reader = (
        published_segments.folder(path, _given) if path.is_dir() else _given(path, published_segments.head_of(path))
    )
    for number, (where, values_, problem) in enumerate(reader):
        if values_ is None:
            yield Row(number, problem=f"{where}: {problem}")
            continue
        try:
            yield Row(number, segment_label({"source": path.name, **values_}))
        except (ValueError, SampleFailed) as error:
            yield Row(number, problem=f"{where}: {error}")


def segment_label(given: Mapping[str, object]) -> dict[str, object]:
    """One row of the table from values by its columns' names, checked; ValueError that says what is wrong.

    The clip is named by `sample_id`, or by `video` (a YouTube id or an address) with `start_s` and, unless it is ten
    seconds later, `end_s`; a published clip whose place in its video nobody knows has a video alone. `labels`,
    `audible` and `visible` are ten values of 0 or 1; from the last two the first follows.
    """
    family = values.text(given.get("family"), "family") or "avel"
    if family not in FAMILIES:
        raise ValueError(f"family {shown(family)} is none of {', '.join(FAMILIES)}")
    video = values.text(given.get("video"), "video")
    start_s, end_s = values.seconds(given.get("start_s"), "start"), values.seconds(given.get("end_s"), "end")
    if start_s is not None and end_s is None:
        end_s = start_s + youtube_clips.CLIP_S
    if end_s is not None and end_s <= (start_s or 0.0):
        raise ValueError(f"ends at {end_s:g} s, which is not after its start at {start_s or 0:g} s")
    labels, audible, visible = (ten(given.get(name), name) for name in TRACKS)
    if audible is not None and visible is not None:
        both = [a & v for a, v in zip(audible, visible, strict=True)]
        if labels is not None and labels != both:
            raise ValueError("labels are not what is both audible and visible")
        labels = both
    if labels is None and audible is None and visible is None:
        raise ValueError("says of no second what is there: labels, audible or visible are wanted")
    short = family == "llp"
    return {
        "sample_id": _sample_id(values.sample_id(given.get("sample_id")), video, start_s, end_s, short),
        "family": family,
        "video_id": None if video is None else youtube_clips.video_id(video, short_ids=short),
        "video": video,
        "start_s": start_s,
        "end_s": end_s,
        "category": values.identifier(given.get("category"), "category"),
        "annotator_id": values.identifier(given.get("annotator_id"), "annotator_id"),
        "created_at": values.instant(given.get("created_at")),
        "labels": labels,
        "audible": audible,
        "visible": visible,
        "source": values.text(given.get("source"), "source"),
    }


def _sample_id(
    named: str | None, video: str | None, start_s: float | None, end_s: float | None, short_ids: bool
) -> str:
    """The clip's id; given and derived ones must agree."""
    if named is not None and (video is None or start_s is None):
        return named
    if video is None:
        raise ValueError("names no clip: give sample_id, or video and start_s")
    derived = youtube_clips.sample_id(video, start_s, end_s, short_ids=short_ids)
    if named is not None and named != derived:
        raise ValueError(f"sample_id {named} is not the clip of that video and those times, {derived}")
    return derived


def _given(path: Path, head: str, known: published_segments.Known | None = None) -> Iterator[published_segments.Given]:
    """A file's rows before they are checked, by the reader that fits it."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        return published_segments.zipped(path, known)
    if suffix == ".json":
        return label_studio.read(path) if label_studio.looks_like(head) else published_segments.avel_json(path, known)
    if ave.looks_like(path, head):
        return published_segments.ave_events(path)
    if llp.looks_like(path, head):
        return published_segments.llp_events(path)
    return _csv(path)


def write_csv(path: Path, rows: Iterable[Mapping[str, object]]) -> int:
    """Write rows of the table as the CSV that `read_labels` reads, ten columns a track; how many."""
    tracks = {name: [f"{prefix}_{second}" for second in range(SEGMENTS)] for name, prefix in TRACKS.items()}
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*ALIASES, *(column for columns in tracks.values() for column in columns)])
        for row in rows:
            cells = [row[name] for name in ALIASES]
            for name in tracks:
                cells += list(row[name] or [None] * SEGMENTS)  # type: ignore[call-overload]
            writer.writerow(map(harmless, cells))
            written += 1
    return written


def _csv(path: Path) -> Iterator[published_segments.Given]:
    header: list[str] | None = None
    for line, cells, problem in records(path):
        where = f"line {line}"
        if cells is None:
            yield where, None, str(problem).removeprefix(f"{where}: ")
        elif header is None:
            header = [plain(name) for name in cells]
            wanted = {f"{TRACKS['labels']}_{second}" for second in range(SEGMENTS)}
            heard = {f"{track}_{second}" for track in ("audible", "visible") for second in range(SEGMENTS)}
            if not (wanted <= set(header) or heard <= set(header)) or "category" not in map(_COLUMNS.get, header):
                columns = f"{', '.join(ALIASES)}, second_0 to second_9"
                yield where, None, f"no table of segment labels: its header has not the columns {columns}"
                return
        elif len(cells) != len(header):
            yield where, None, f"{len(cells)} cells under {len(header)} columns"
        else:
            yield where, _from_cells(dict(zip(header, cells, strict=True))), None


def _from_cells(cells: Mapping[str, str]) -> dict[str, object]:
    given: dict[str, object] = {_COLUMNS[name]: as_written(cell) for name, cell in cells.items() if name in _COLUMNS}
    for track, prefix in TRACKS.items():
        found = [cells.get(f"{prefix}_{second}", "") for second in range(SEGMENTS)]
        given[track] = found if any(found) else None
    return given
