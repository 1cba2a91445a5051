"""A store of decoded clips: what a loader of shards gives of each clip, once, as mapped arrays (`winnow.train.loader`).

Training reads from it as it reads vectors: a clip's row is there or the clip is left out, with its reason."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from winnow.core.lake import Lake, digest
from winnow.train import store
from winnow.train.loader import CARD, Vectors
from winnow.train.shards import ClipFiles, ClipLoader, Decoder

#: Clips that are decoded at a time.
BLOCK = 16


def decoded(
    lake: Lake, clips: ClipFiles, decoder: Decoder, names: tuple[str, ...], most_failed: float
) -> tuple[Vectors, dict[str, str]]:
    """The store of these clips' arrays, and why others have none: id → reason. Made once; ContractError when more than
    `most_failed` cannot be decoded."""
    name = digest({"clips": clips.digest(), "decoder": decoder.key, "names": names, "form": 1})
    target = Path(lake.full(f"vectors/{name}"))
    if not (target / CARD).is_file():
        _make(target, clips, decoder, names, most_failed)
    found = Vectors.open(target)
    return found, dict(found.card["failed"])


def _make(target: Path, clips: ClipFiles, decoder: Decoder, names: tuple[str, ...], most_failed: float) -> None:
    import pyarrow as pa

    with store.placed(target) as scratch:
        arrays: dict[str, np.memmap] = {}
        ids: list[str] = []
        loader = ClipLoader(clips, decoder, size=BLOCK, seed=0, epochs=1, most_failed=most_failed)
        for batch in loader.steps():
            for key in names if batch.ids else ():
                values = batch.inputs[key]
                if key not in arrays:
                    shape = (len(clips), *values.shape[1:])
                    arrays[key] = np.lib.format.open_memmap(scratch / f"{key}.npy", "w+", np.float32, shape)
                arrays[key][len(ids) : len(ids) + len(values)] = values
            ids += batch.ids
        shapes = {key: list(array.shape[1:]) for key, array in arrays.items()}
        for key, array in arrays.items():
            array.flush()
            if loader.failed:
                _shorten(scratch / f"{key}.npy", len(ids))
        arrays.clear()
        source = {"failed": dict(sorted(loader.failed.items())), "clips": clips.digest(), "decoder": decoder.key}
        store.describe(scratch, pa.array(ids, pa.string()), shapes, source)


def _shorten(path: Path, rows: int) -> None:
    """Leave the first rows of a mapped array."""
    old = np.load(path, mmap_mode="r")
    new = np.lib.format.open_memmap(path.with_suffix(".short"), "w+", old.dtype, (rows, *old.shape[1:]))
    for at in range(0, rows, BLOCK):
        new[at : at + BLOCK] = old[at : min(at + BLOCK, rows)]
    new.flush()
    os.replace(path.with_suffix(".short"), path)


class Stacked:
    """Stores one under the other, read as one: row r of the second is row len(first) + r."""

    def __init__(self, *parts: Vectors) -> None:
        import pyarrow as pa

        self.parts = parts
        self.firsts = np.cumsum([0, *(len(part.ids) for part in parts)])
        self.ids = pa.concat_arrays([part.ids for part in parts])
        self.card: Mapping[str, object] = {"parts": [dict(part.card) for part in parts]}
        self.arrays = parts[0].arrays

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Copies of rows by input."""
        found = {n: np.empty((len(rows), *a.shape[1:]), np.float32) for n, a in self.arrays.items()}
        for part, first, end in zip(self.parts, self.firsts, self.firsts[1:], strict=False):
            here = np.flatnonzero((rows >= first) & (rows < end))
            if len(here):
                for name, values in part.take(rows[here] - first).items():
                    found[name][here] = values
        return found
