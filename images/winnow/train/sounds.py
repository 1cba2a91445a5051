"""What tasks that take sounds apart share: examples with a label and a group, and partners drawn for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.errors import ContractError
from winnow.core.lake import digest

if TYPE_CHECKING:
    from torch import Tensor

CLIPS = "tables/fct_clips.parquet"
#: Draws of a partner before all that may be one are listed.
TRIES = 32


@dataclass(frozen=True)
class SoundExamples:
    """Examples in order, each (n,) str: id (a clip's, or a mixture's), clip (whose picture is seen), split, label, and
    group: what is of one source video, uploader or near-duplicate."""

    id: np.ndarray
    clip: np.ndarray
    split: np.ndarray
    label: np.ndarray
    group: np.ndarray
    categories: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: np.ndarray) -> SoundExamples:
        """Some of them."""
        return replace(self, **{n: getattr(self, n)[rows] for n in ("id", "clip", "split", "label", "group")})

    def of(self, split: str) -> np.ndarray:
        """Rows of a split."""
        return np.flatnonzero(self.split == split)

    def digest(self) -> str:
        """Short digest of all that a run reads of them."""
        return digest([getattr(self, n).tolist() for n in ("id", "split", "label", "group")])

    def unlabelled(self) -> SoundExamples:
        """Themselves without labels: a partner is then of another group, whatever is heard in it."""
        return replace(self, label=np.full(len(self), "", object))

    def shuffled(self, seed: int) -> SoundExamples:
        """Themselves: what the control deals out are pictures and queries (`deal`)."""
        del seed
        return self


def examples(rows: Sequence[Mapping[str, object]]) -> SoundExamples:
    """Of rows with these names, ordered by id."""
    rows = sorted(rows, key=lambda row: str(row["id"]))
    names = ("id", "clip", "split", "label", "group")
    ids, clip, split, label, group = (np.array([str(row[n] or "") for row in rows], object) for n in names)
    return SoundExamples(ids, clip, split, label, group)


def joined(parts: list[SoundExamples]) -> SoundExamples:
    """Several, one after the other."""
    names = ("id", "clip", "split", "label", "group")
    ids, clip, split, label, group = (np.concatenate([getattr(part, n) for part in parts]) for n in names)
    return SoundExamples(ids, clip, split, label, group)


def clips(folder: Path, splits: tuple[str, ...], *, every: bool = False) -> list[dict[str, object]]:
    """The clips that a release keeps, of these splits; with `every` what it does not keep as well, as clips of train.
    ContractError for a release without clips, and where a group of kept ones is in two splits: it would be tried on
    what it was taught by."""
    import pyarrow.parquet as pq

    path = folder / CLIPS
    if not path.is_file():
        raise ContractError(f"{path} is not there: this release lists no clips")
    there = pq.read_schema(path).names
    names = [n for n in ("sample_id", "video_id", "group_id", "label", "split", "status") if n in there]
    rows: list[dict[str, object]] = []
    where: dict[str, str] = {}
    for row in pq.read_table(path, columns=names).to_pylist():
        kept, group = row["status"] == "kept" and row["split"] is not None, row.get("group_id") or row["video_id"]
        if not kept and (not every or row["status"] == "kept" or group is None):
            continue
        split = row["split"] if kept else "train"
        if kept and where.setdefault(group, split) != split:
            raise ContractError(f"{path}: group {group} stands in {where[group]} and {split}")
        if split in splits:
            label = row.get("label")
            rows.append(
                {
                    "id": row["sample_id"],
                    "clip": row["sample_id"],
                    "split": split,
                    "group": group,
                    "label": None if label == "unlabelled" else label,
                }
            )
    return rows


def targets(examples: SoundExamples, rows: np.ndarray) -> dict[str, Tensor]:
    """What teaches beside the inputs, of tasks whose sounds are both: nothing."""
    del examples, rows
    return {}


class Partners:
    """Whom an example may be mixed with: one of its split, of another group and, where both have one, another label."""

    def __init__(self, found: SoundExamples) -> None:
        self.found = found
        self.pool = {split: found.of(split) for split in set(found.split.tolist())}

    def may(self, row: int) -> np.ndarray:
        """All rows that may be a row's partner."""
        pool, found = self.pool[self.found.split[row]], self.found
        alike = (found.label[pool] == found.label[row]) & (found.label[row] != "")
        return pool[(found.group[pool] != found.group[row]) & ~alike]

    def alone(self) -> np.ndarray:
        """Rows that have no partner at all: of each group and label one is asked, the others answer alike."""
        known: dict[tuple, bool] = {}
        for row in range(len(self.found)):
            key = (self.found.split[row], self.found.group[row], self.found.label[row])
            if key not in known:
                known[key] = not len(self.may(row))
        keys = zip(self.found.split, self.found.group, self.found.label, strict=True)
        return np.flatnonzero([known[key] for key in keys])

    def draw(self, row: int, rng: np.random.Generator) -> int:
        """One of them."""
        pool, found = self.pool[self.found.split[row]], self.found
        for at in rng.integers(len(pool), size=TRIES):
            one = int(pool[at])
            if found.group[one] != found.group[row] and (
                found.label[one] != found.label[row] or found.label[row] == ""
            ):
                return one
        every = self.may(row)
        return int(every[rng.integers(len(every))])


def deal(found: SoundExamples, seed: int) -> np.ndarray:
    """The control: whose picture or query each example has, (n,): training examples' are dealt to other ones."""
    rows, dealt = found.of("train"), np.arange(len(found))
    dealt[rows] = rows[np.random.default_rng([seed, 1]).permutation(len(rows))]
    return dealt
