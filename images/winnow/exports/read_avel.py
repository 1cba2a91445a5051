"""The files of VGGSound-AVEL's and AVE's sets: their names, and a reader of each.

    vggsound-avel100k/   the full set of family `avel`
    vggsound-avel50k/    half of each of its categories
    ave/                 the set of family `ave`

    <set>.csv                category, video_id, start (s; empty where not known), split: the order of everything else
    categories.txt           one category a line: its line is its class, background comes after the last
    <set>_labels.json        a list of {clip: {"label": ten values, "category", "family", "sample_id", "split"}}
    video_label_dict.json    clip → category (a list of them for a clip that is several samples)
    label_video_dict.json    category → clips
    labels.h5                `avadataset`, (samples, 10, categories + 1): one-hot by second, background last
    mil_labels.h5            `avadataset`, (samples, categories + 1): one-hot by video
    <split>_order.h5         `order`: rows of the list, from 0

and, where somebody has them, `audio_feature.h5` and `visual_feature.h5` (`avadataset`, (samples, 10, …)). Names of the
files and of the data sets: jasongief/CPSP and YapengTian/AVE-ECCV18; of the lists' columns: the former, plus `start`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.annotations.segments import SEGMENTS, ten
from winnow.core.errors import ContractError
from winnow.sources import avel, youtube_clips
from winnow.sources.row import Row

if TYPE_CHECKING:
    import numpy as np

DATASET, ORDER = "avadataset", "order"
SPLITS = ("train", "val", "test")
MAX_JSON_BYTES = 1 << 30
AUDIO_FEATURES, VISUAL_FEATURES = "audio_feature.h5", "visual_feature.h5"


@dataclass(frozen=True)
class SetFiles:
    """One set: its folder, whose samples it holds, and its files' names."""

    folder: str
    family: str
    half: bool
    categories: str = "categories.txt"
    video_label: str = "video_label_dict.json"
    label_video: str = "label_video_dict.json"
    labels: str = "labels.h5"
    video_labels: str = "mil_labels.h5"

    @property
    def list(self) -> str:
        """The list of its samples."""
        return f"{self.folder}.csv"

    @property
    def labels_json(self) -> str:
        """Its labels by clip."""
        return f"{self.folder}_labels.json"

    def order(self, split: str) -> str:
        """The rows of a split."""
        return f"{split}_order.h5"


SETS = (
    SetFiles("vggsound-avel100k", "avel", half=False),
    SetFiles("vggsound-avel50k", "avel", half=True),
    SetFiles("ave", "ave", half=False),
)


@dataclass(frozen=True)
class AvelSet:
    """A set as it was read. samples: clip, video, start_s, category, split, in the list's order; labels: (samples, 10,
    categories + 1); video_labels: (samples, categories + 1); orders: rows by split."""

    samples: list[dict[str, object]]
    categories: list[str]
    labels: np.ndarray
    video_labels: np.ndarray
    orders: Mapping[str, np.ndarray]


def read_set(folder: Path, files: SetFiles | None = None) -> AvelSet:
    """Read a set and check that its files agree; ContractError, which names the file, where they do not. The set is
    told by the folder's name unless `files` says it."""
    import numpy as np

    found = files or next((one for one in SETS if one.folder == folder.name), None)
    if found is None:
        raise ContractError(f"{folder.name} is the folder of no set: {', '.join(one.folder for one in SETS)} are")
    samples = []
    for row in read_list(folder / found.list):
        if row.values is None:
            raise ContractError(f"{folder / found.list}: {row.problem}")
        samples.append(dict(row.values))
    categories = read_categories(folder / found.categories)
    labels, whole = (read_h5(folder / name, DATASET) for name in (found.labels, found.video_labels))
    orders = {split: read_h5(folder / found.order(split), ORDER) for split in SPLITS}
    place = {category: at for at, category in enumerate(categories)}
    wide = len(categories) + 1
    wrong = [
        (found.categories, {str(row["category"]) for row in samples} != set(categories)),
        (found.labels, labels.shape != (len(samples), SEGMENTS, wide) or (labels.sum(axis=2) != 1).any()),
        (found.video_labels, whole.shape != (len(samples), wide) or (whole.sum(axis=1) != 1).any()),
        *((found.order(split), rows.ndim != 1 or rows.dtype.kind not in "iu") for split, rows in orders.items()),
    ]
    for name, broken in wrong:
        if broken:
            raise ContractError(f"{folder / name} does not fit {found.list}")
    at = np.array([place[str(row["category"])] for row in samples], dtype=np.int64)
    if (whole.argmax(axis=1) != at).any() or (np.delete(labels, -1, axis=2).any(axis=1).argmax(axis=1) != at).any():
        raise ContractError(f"{folder}: labels are of other categories than {found.list} says")
    for split, rows in orders.items():
        if rows.tolist() != [place for place, row in enumerate(samples) if row["split"] == split]:
            raise ContractError(f"{folder / found.order(split)} holds other rows than {found.list} says are {split}")
    return AvelSet(samples, categories, labels, whole, orders)


def read_list(path: Path) -> Iterator[Row]:
    """Rows of a list: clip, video, start_s (None where not known), category, split."""
    for row in avel.rows(path):
        if row.values is None:
            yield row
        else:
            clip = youtube_clips.name_of(str(row.values["video"]), row.values["start_s"])  # type: ignore[arg-type]
            yield Row(row.number, {"clip": clip, **row.values})


def read_categories(path: Path) -> list[str]:
    """Categories by class; ContractError for one that stands twice."""
    names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(set(names)) != len(names):
        raise ContractError(f"{path} names a category twice")
    return names


def read_labels_json(path: Path) -> Iterator[Row]:
    """Rows of a labels file: clip, labels, and category and split where it has them. Objects of ten labels by video, as
    the original has them, are read too."""
    for number, (clip, value) in enumerate(_items(_json(path))):
        try:
            given = value if isinstance(value, dict) else {"label": value}
            labels = ten(given.get("label"), "labels")
            if labels is None:
                raise ValueError("no label")
            rest = {name: given[name] for name in ("category", "split") if isinstance(given.get(name), str)}
            yield Row(number, {"clip": clip, "labels": labels, **rest})
        except ValueError as error:
            yield Row(number, problem=f"{clip[:60]!r}: {error}")


def read_dict(path: Path) -> dict[str, list[str]]:
    """video_label_dict.json or label_video_dict.json: what stands there by each key, as a list; ContractError for
    anything but text."""
    value = _json(path)
    found = (
        {key: one if isinstance(one, list) else [one] for key, one in value.items()} if isinstance(value, dict) else {}
    )
    if not isinstance(value, dict) or not all(isinstance(one, str) for many in found.values() for one in many):
        raise ContractError(f"{path} is no object of text by text")
    return found


def read_h5(path: Path, name: str = DATASET) -> np.ndarray:
    """One data set of an HDF5 file; ContractError where there is none."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return file[name][()]
    except (OSError, KeyError) as error:
        raise ContractError(f"{path} has no data set {name!r} that can be read: {error}") from error


def _items(value: object) -> Iterator[tuple[str, object]]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield from item.items()


def _json(path: Path) -> object:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ContractError(f"{path} is larger than {MAX_JSON_BYTES} bytes")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{path} is not JSON: {str(error)[:200]}") from error
