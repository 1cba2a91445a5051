"""Sets: which clips of a release a task learns from and is tried on, with what is known of each second.

Rows of the published `avel_samples`: a clip and a category. Everything a run reads of labels is here, as arrays in the
order of (clip, category); features are joined to it by the clip's id. What is wrong with a release's labels is one line
that names table, clip and reason, before anything is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.errors import ContractError
from winnow.core.lake import digest
from winnow.exports.read_avel import SPLITS

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "avel_samples"
_COLUMNS = (
    "family",
    "sample_id",
    "category",
    "clip",
    "video_id",
    "group_id",
    "split",
    "in_half",
    "labels",
    "audible",
    "visible",
)


@dataclass(frozen=True)
class Examples:
    """Examples in order. id, clip: (n,) str; split: (n,) str; target: avel: the category's index, (n,); parse: clip
    labels, (n, C) bool. heard, seen: avel: events by second, (n, T) bool, in both; parse: (n, T, C) bool."""

    categories: tuple[str, ...]
    id: np.ndarray
    clip: np.ndarray
    split: np.ndarray
    target: np.ndarray
    heard: np.ndarray
    seen: np.ndarray

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: np.ndarray) -> Examples:
        """Some of them."""
        names = ("id", "clip", "split", "target", "heard", "seen")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def of(self, split: str) -> np.ndarray:
        """Rows of a split."""
        return np.flatnonzero(self.split == split)

    @property
    def seconds(self) -> int:
        """Seconds of a clip."""
        return self.heard.shape[1]

    def digest(self) -> str:
        """Short digest of all that a run reads of them."""
        parts = [self.categories, self.id.tolist(), self.split.tolist()]
        return digest([*parts, *(a.astype(np.int64).tolist() for a in (self.target, self.heard, self.seen))])

    def shuffled(self, seed: int) -> Examples:
        """The control: what is said of training clips is dealt to other training clips; the other splits stay."""
        rows = self.of("train")
        dealt = rows[np.random.default_rng([seed, 1]).permutation(len(rows))]
        changed = {name: getattr(self, name).copy() for name in ("target", "heard", "seen")}
        for name, values in changed.items():
            values[rows] = getattr(self, name)[dealt]
        return replace(self, **changed)


def read(
    folder: Path, task: str, *, family: str | None = None, half: bool = False, leaks: bool = False, test: bool = True
) -> Examples:
    """The examples of a task in a release's folder. ContractError where there is none, a clip or a group stands in two
    splits (unless `leaks`), labels have another length, or a category has no training clip. Without `test` the rows of
    that split are left out before anything but their ids and categories is looked at."""
    import pyarrow.parquet as pq

    family = family or ("llp" if task == "parse" else "avel")
    path = folder / "tables" / f"{TABLE}.parquet"
    if not path.is_file():
        raise ContractError(f"{path} is not there: this release has no labels for task {task}")
    table = pq.read_table(path)
    rows = _selected(table.select([c for c in _COLUMNS if c in table.column_names]).to_pylist(), family, half)
    if not rows:
        raise ContractError(
            f"{path} has no sample of family {family} in a split, so there are no labels for task {task}: import some "
            "(`winnow annotate import-labels`), then `winnow release`"
        )
    apart(path, rows, leaks)
    categories = tuple(sorted({row["category"] for row in rows}))
    _taught(path, rows, categories)
    build = _parse if task == "parse" else _avel
    return build(path, rows if test else [row for row in rows if row["split"] != "test"], categories)


def _taught(path: Path, rows: list[dict], categories: tuple[str, ...]) -> None:
    """Every category has a training clip."""
    trained = {row["category"] for row in rows if row["split"] == "train"}
    if untaught := [name for name in categories if name not in trained]:
        clip = next(row["sample_id"] for row in rows if row["category"] == untaught[0])
        more = f", and {len(untaught) - 1} more have none" if len(untaught) > 1 else ""
        raise ContractError(
            f"{path}: category {untaught[0]!r} of clip {clip} has no training clip{more}: label some, or leave it "
            "out of the lists"
        )


def _selected(rows: list[dict], family: str, half: bool) -> list[dict]:
    kept = [r for r in rows if r["family"] == family] if rows and "family" in rows[0] else rows
    kept = [r for r in kept if r["split"] is not None and (not half or r["in_half"])]
    return sorted(kept, key=lambda r: (r["sample_id"], r["category"]))


def apart(path: Path, rows: list[dict], leaks: bool) -> None:
    """A clip stands in one split, and so does a group."""
    for what, column in (("clip", "sample_id"), ("video", "video_id"), ("group", "group_id")):
        where: dict[str, str] = {}
        for row in rows:
            key = row.get(column)
            if key is None:
                continue
            if row["split"] not in SPLITS:
                raise ContractError(f"{path}: clip {row['sample_id']} is in split {row['split']!r}, no split of ours")
            if where.setdefault(key, row["split"]) != row["split"] and (column == "sample_id" or not leaks):
                more = "" if column == "sample_id" else "; --set allow_leaks=true trains all the same"
                raise ContractError(
                    f"{path}: {what} {key} stands in {where[key]} and in {row['split']} (clip {row['sample_id']}): it "
                    f"would be tested on what it was trained on{more}"
                )


def _ten(path: Path, rows: list[dict], column: str) -> np.ndarray:
    length = len(rows[0][column] or ())
    for row in rows:
        if len(row[column] or ()) != length or not length:
            raise ContractError(
                f"{path}: {column} of clip {row['sample_id']} ({row['category']}) has {len(row[column] or ())} "
                f"seconds, those of clip {rows[0]['sample_id']} {length}"
            )
    return np.array([row[column] for row in rows], bool)


def _avel(path: Path, rows: list[dict], categories: tuple[str, ...]) -> Examples:
    place = {name: k for k, name in enumerate(categories)}
    labels = _ten(path, rows, "labels")
    if not labels.any(1).all():
        row = rows[int(np.flatnonzero(~labels.any(1))[0])]
        raise ContractError(f"{path}: clip {row['sample_id']} ({row['category']}) has no second with an event")
    return Examples(
        categories, *_names(rows), np.array([place[row["category"]] for row in rows], np.int64), labels, labels
    )


def _parse(path: Path, rows: list[dict], categories: tuple[str, ...]) -> Examples:
    """One example a clip, whatever its number of categories. Training clips need no seconds."""
    place = {name: k for k, name in enumerate(categories)}
    by_clip: dict[str, list[dict]] = {}
    for row in rows:
        by_clip.setdefault(row["sample_id"], []).append(row)
    dense = [r for r in rows if r["split"] != "train"]
    for column in ("audible", "visible"):
        if missing := [r for r in dense if r[column] is None]:
            raise ContractError(
                f"{path}: {column} of clip {missing[0]['sample_id']} ({missing[0]['category']}) is not known, and "
                f"it is in {missing[0]['split']}: import both lists of audible and of visible events"
            )
    length = _ten(path, dense, "audible").shape[1] if dense else 10
    if dense:
        _ten(path, dense, "visible")
    target = np.zeros((len(by_clip), len(categories)), bool)
    heard = np.zeros((len(by_clip), length, len(categories)), bool)
    seen = heard.copy()
    for k, found in enumerate(by_clip.values()):
        for row in found:
            at = place[row["category"]]
            target[k, at] = True
            if row["audible"] is not None and row["visible"] is not None:
                heard[k, :, at], seen[k, :, at] = row["audible"], row["visible"]
    return Examples(categories, *_names([found[0] for found in by_clip.values()]), target, heard, seen)


def _names(rows: list[dict]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ids, clip, split = (np.array([row[n] or "" for row in rows], object) for n in ("sample_id", "clip", "split"))
    return ids, clip, split


def listed(found: Examples, path: Path, splits: Sequence[str]) -> Examples:
    """Those of a list's clips alone (Parquet: sample_id, split). Its rows of other splits than these are passed over.
    ContractError for a clip that has no label in this release, or that stands in another split there."""
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path, columns=["sample_id", "split"]).to_pylist()
    except (OSError, ValueError, KeyError) as error:
        why = str(error).splitlines()[0]
        raise ContractError(f"--set clips={path}: a Parquet of sample_id and split is wanted: {why}") from error
    wanted = {row["sample_id"]: row["split"] for row in rows if row["split"] in splits}
    where = dict(zip(found.id.tolist(), found.split.tolist(), strict=True))
    for clip, split in wanted.items():
        if where.get(clip) != split:
            stands = f"which the release has in {where[clip]}" if clip in where else "of which it has no label"
            raise ContractError(f"{path} has clip {clip} in split {split}, {stands}: make the list of this release")
    return found.take(np.flatnonzero([clip in wanted for clip in found.id.tolist()]))


def ids(found: Examples) -> pa.Array:
    """Their clips' ids as Arrow has them."""
    import pyarrow as pa

    return pa.array(found.id.tolist(), pa.string())
