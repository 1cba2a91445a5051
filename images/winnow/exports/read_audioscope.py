"""The clip lists of MixIT, AudioScope and AudioScopeV2: their names and columns, and a reader of each.

    yfcc100m_clip_lists/                 MixIT: clips of 10 s with an output offset, test mixtures
    audioscope_yfcc100m_clip_lists/      AudioScope (v1): filtered_…
    audioscope_v2_yfcc100m_clip_lists/   AudioScopeV2: unfiltered_…

Folders are those of the public bucket, file names and columns those of the READMEs in google-research/sound-separation,
datasets/{yfcc100m,audioscope,audioscope-v2}. The names of MixIT's files are not stated there: those below are ours.
Whether the files have a header is not stated either: both are read, and none is written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from winnow.sources import yfcc_path
from winnow.sources.cells import records
from winnow.sources.row import Row

SPLITS = ("train", "validate", "test")
LABELS = {"any": "", "onscreen_only": "onscreen_unanimous_", "offscreen_only": "offscreen_unanimous_"}
CLIP = ("video", "start_s", "end_s")
#: List version → folder, beginning of a name, what a mixture list says of clip 2, columns of a clip.
VERSIONS: Mapping[str, tuple[str, str, str, tuple[str, ...]]] = {
    "v2": ("audioscope_v2_yfcc100m_clip_lists", "unfiltered_", "plus_random_unfiltered_", CLIP),
    "v1": ("audioscope_yfcc100m_clip_lists", "filtered_", "plus_offscreen_unanimous_", CLIP),
    "mixit": ("yfcc100m_clip_lists", "", "", (*CLIP, "output_offset_s")),
}


@dataclass(frozen=True)
class ListFile:
    """One published list. `label` is any, onscreen_only or offscreen_only: of the clips, or of a mixture's clip 1."""

    version: str
    split: str
    label: str
    mixtures: bool

    @property
    def name(self) -> str:
        """Its file, relative to where the lists of all versions lie."""
        folder, start, second, _ = VERSIONS[self.version]
        kind = f"{second}mom_clips" if self.mixtures else "clips"
        return f"{folder}/{start}{self.split}_{LABELS[self.label]}{kind}.csv"

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, in order; of a mixture list those of clip 1, then those of clip 2."""
        clip = VERSIONS[self.version][3]
        return tuple(f"{name}_{n}" for n in (1, 2) for name in clip) if self.mixtures else clip


def _files() -> Iterator[ListFile]:
    for version in VERSIONS:
        labels = ["any"] if version == "mixit" else list(LABELS)
        for split in SPLITS:
            yield from (ListFile(version, split, label, False) for label in labels)
        for split in ("test",) if version == "mixit" else ("validate", "test"):
            yield from (
                ListFile(version, split, label, True) for label in labels if version == "mixit" or label != "any"
            )


#: Every list: 9 of clips and 4 of mixtures for v2 and v1 each, 3 and 1 for MixIT.
FILES = tuple(_files())


def file_of(path: Path) -> ListFile | None:
    """Which list a file is, by its name and, where the name alone does not say, its folder's; None for another file."""
    named = [file for file in FILES if Path(file.name).name == path.name]
    return named[0] if len(named) == 1 else None


def read_list(path: Path, file: ListFile | None = None) -> Iterator[Row]:
    """Rows of a list: `values` by the list's columns, times and offsets in s as floats; a record that does not fit is a
    Row with a problem. The list is told by the file's name unless `file` says it."""
    file = file or file_of(path)
    if file is None:
        yield Row(0, problem=f"{path.name} is the name of no list of AudioScope")
        return
    number = 0
    for line, cells, problem in records(path):
        if cells is None:
            yield Row(number, problem=problem)
        elif number == 0 and not _is_number(cells[1] if len(cells) > 1 else ""):
            continue
        else:
            try:
                yield Row(number, _values(file, cells))
            except ValueError as error:
                yield Row(number, problem=f"line {line}: {error}")
        number += 1


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _values(file: ListFile, cells: list[str]) -> dict[str, object]:
    """A record by columns; ValueError says what does not fit."""
    if len(cells) != len(file.columns):
        raise ValueError(f"{len(cells)} cells; {Path(file.name).name} has {len(file.columns)} columns")
    values: dict[str, Any] = {}
    for column, cell in zip(file.columns, cells, strict=True):
        if column.startswith("video"):
            yfcc_path.video_hash(cell)
            values[column] = cell
            continue
        number = float(cell) if _is_number(cell) else -1.0
        if number < 0:
            raise ValueError(f"{column} is {cell[:40]!r}: seconds from 0 on are wanted")
        values[column] = number
    for suffix in ("_1", "_2") if file.mixtures else ("",):
        if values[f"end_s{suffix}"] <= values[f"start_s{suffix}"]:
            raise ValueError(f"ends at {values[f'end_s{suffix}']:g} s, which is not after its start")
    return values
