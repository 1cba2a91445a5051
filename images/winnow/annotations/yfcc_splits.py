"""The splits that published lists of AudioScope and MixIT give: `unfiltered_train_clips.csv` says train.

All three releases use the same splits (README of audioscope-v2: "the same train/validation/test splits"), so any of
their lists can be given. A list is read as a candidate list is; only the videos' paths are taken, and each once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from winnow.sources import yfcc_path
from winnow.sources.cells import records
from winnow.sources.row import Row

FAMILY = "audioscope"
#: How a file's name says its split → the split's name.
SPLITS = {"train": "train", "validate": "validate", "validation": "validate", "val": "validate", "test": "test"}
_WORD = re.compile(r"[a-z]+")


def split_of(name: str) -> str | None:
    """The split that a file's name says, as one of its words; None when it says none or several."""
    said = {SPLITS[word] for word in _WORD.findall(name.lower()) if word in SPLITS}
    return said.pop() if len(said) == 1 else None


def read_splits(path: Path) -> Iterator[Row]:
    """Rows of the corpus table `given_split` (family, key: the video's path, split, source: the file's name), one per
    video of the list; both clips of a list of mixtures count. What cannot be used is a Row with a problem."""
    split = split_of(path.name)
    if split is None:
        yield Row(0, problem=f"{path.name}: the name of a published list says train, validate or test")
        return
    seen: set[str] = set()
    number = 0
    for line, cells, problem in records(path):
        if cells is None:
            yield Row(number, problem=problem)
            number += 1
            continue
        for cell in cells:
            if not cell.startswith(yfcc_path.FOLDER) or cell in seen:
                continue
            seen.add(cell)
            try:
                yfcc_path.video_hash(cell)
            except ValueError as error:
                yield Row(number, problem=f"line {line}: {error}")
            else:
                yield Row(number, {"family": FAMILY, "key": cell, "split": split, "source": path.name})
            number += 1
