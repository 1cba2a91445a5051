"""Pairs: the clips of a release, with sound, picture and class, for tasks that need no label by second.

Rows of the published `fct_clips`. What a release keeps is in its splits; a candidate that it does not keep can be in a
training set of a benchmark only (`winnow.train.drawing`), where ties to val and test are looked for, so it counts as
one of train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import digest
from winnow.core.stage import stage_columns
from winnow.train.loader import Vectors
from winnow.train.sets import Examples, apart
from winnow.train.sizes import Sizes

TABLE, UNLABELLED = "fct_clips", "unlabelled"
_COLUMNS = ("sample_id", "video_id", "label", "status", "split", "group_id")


@dataclass(frozen=True)
class Pairs(Examples):
    """Clips in order of their ids. target: (n,) the class's index, −1 for none; video: (n,) str, the source, of whose
    clips none is a negative of another. heard, seen: (n, 1), of no meaning."""

    video: np.ndarray

    def take(self, rows: np.ndarray) -> Pairs:
        """Some of them."""
        return replace(super().take(rows), video=self.video[rows])

    def digest(self) -> str:
        """Short digest of all that a run reads of them."""
        return digest([self.categories, *(a.tolist() for a in (self.id, self.split, self.target, self.video))])

    def shuffled(self, seed: int) -> Pairs:
        """They themselves: what the control deals out anew is the sounds (`Dealt`), not what is said of clips."""
        del seed
        return self


@dataclass(frozen=True)
class Dealt(Vectors):
    """A store in which some clips have another's sound: the control. other: the store's row whose sound each has."""

    other: np.ndarray

    @classmethod
    def of(cls, vectors: Vectors, rows: np.ndarray, seed: int) -> Dealt:
        """Sounds of these rows dealt out among them; none keeps its own."""
        other = np.arange(len(vectors.ids))
        mixed = np.random.default_rng([seed, 1]).permutation(rows)
        other[mixed] = np.roll(mixed, 1)
        return cls(vectors.ids, vectors.arrays, vectors.card, other)

    def take(self, rows: np.ndarray, out=None) -> dict[str, np.ndarray]:
        """Copies of rows by input."""
        found = super().take(rows, out)
        return found | {"audio": np.take(self.arrays["audio"], self.other[rows], axis=0)}


def read(folder: Path, *, every: bool = False, leaks: bool = False, test: bool = True) -> Pairs:
    """What the release keeps of its clips; with `every` what it does not keep as well, as clips of train. ContractError
    for a release without clips, and where a video or a group stands in two splits (unless `leaks`)."""
    import pyarrow.parquet as pq

    path = folder / "tables" / f"{TABLE}.parquet"
    if not path.is_file():
        raise ContractError(f"{path} is not there: this release has no clips to pair")
    table = pq.read_table(path)
    if missing := [name for name in _COLUMNS if name not in table.column_names]:
        raise ContractError(f"{path} has no column {missing[0]}: it was made by an older Winnow; run `winnow release`")
    rows = sorted(table.select(_COLUMNS).to_pylist(), key=lambda r: r["sample_id"])
    kept = [row for row in rows if row["status"] == "kept" and row["split"] is not None]
    if not kept:
        raise ContractError(f"{path} has no clip that the release keeps in a split: curate some, then `winnow release`")
    apart(path, kept, leaks)
    names = {row["label"] for row in kept} - {None, UNLABELLED}
    place = {name: k for k, name in enumerate(sorted(names))}
    used = kept
    if every:
        free = [{**row, "split": "train"} for row in rows if row["status"] != "kept" and row["video_id"] is not None]
        used = sorted([*kept, *free], key=lambda r: r["sample_id"])
    used = [row for row in used if test or row["split"] != "test"]
    ids, split, video = (np.array([row[n] for row in used], object) for n in ("sample_id", "split", "video_id"))
    target = np.array([place.get(row["label"], -1) for row in used], np.int64)
    none = np.zeros((len(used), 1), bool)
    return Pairs(tuple(sorted(names)), ids, ids, split, target, none, none, video)


def columns(listed: Sequence[str]) -> tuple[str, ...]:
    """Columns that describe a whole clip; ConfigError for one on a grid of time."""
    of = stage_columns()
    for name in listed:
        stage, _, column = name.partition(".")
        if "grid_hz" in of.get(stage, {}) and of[stage].get(column, "").endswith("[]"):
            raise ConfigError(f"{name!r} is an envelope over time; a vector of the whole clip is wanted, as visual.v0")
    return tuple(listed)


def sizes(arrays: Mapping[str, np.ndarray], found: Examples, narrow: int) -> Sizes:
    """Numbers of both sides: the last axis; what is before it (seconds, positions) is averaged."""
    for name, array in arrays.items():
        if array.ndim < 2:
            raise ContractError(f"{name} of clip {found.id[0]} is one number: a vector is wanted")
    return Sizes(arrays["audio"].shape[-1], arrays["visual"].shape[-1], 1, 1, len(found.categories), narrow=narrow)
