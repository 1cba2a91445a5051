"""A store of vectors on the disk: plain arrays that are mapped (`winnow.train.loader`), made once, whole or not
there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.errors import ContractError
from winnow.train.loader import CARD

if TYPE_CHECKING:
    import pyarrow as pa

LAYOUT = "channels_last"
#: Some rows of an array: which (n,), where on its last axis, and their values.
Block = tuple[np.ndarray, slice, np.ndarray]


def make(
    target: Path,
    ids: pa.Array,
    blocks: Mapping[str, Iterable[Block]],
    shapes: Mapping[str, tuple[int, ...]],
    source: Mapping[str, object],
) -> None:
    """Write a store beside its place and rename it there; of two that make the same one the first counts. Blocks, in
    any order, fill each array."""
    with placed(target) as scratch:
        for name, found in blocks.items():
            if not len(ids):
                raise ContractError("no clip has all of the vectors that are asked for")
            shape = (len(ids), *shapes[name])
            array = np.lib.format.open_memmap(scratch / f"{name}.npy", "w+", np.float32, shape)
            for rows, last, block in found:
                wrong = ~np.isfinite(block).reshape(len(block), -1).all(1)
                if wrong.any():
                    clip = ids[int(rows[np.flatnonzero(wrong)[0]])].as_py()
                    raise ContractError(f"{name} of clip {clip} has values that are not finite (NaN or infinity)")
                array[rows, ..., last] = block
            array.flush()
            del array
        describe(scratch, ids, shapes, source)


@contextmanager
def placed(target: Path) -> Iterator[Path]:
    """A folder to make a store in, which takes its place when the block ends; of two that make the same one the first
    counts."""
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
        try:
            os.rename(scratch, target)
        except OSError:
            if not (target / CARD).is_file():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def describe(folder: Path, ids: pa.Array, shapes: Mapping[str, Sequence[int]], source: Mapping[str, object]) -> None:
    """Write the ids of a store's rows and its card."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"sample_id": ids}), folder / "ids.parquet")
    card = {"inputs": {k: list(v) for k, v in shapes.items()}, "layout": LAYOUT, "rows": len(ids), **source}
    (folder / CARD).write_text(json.dumps(card, sort_keys=True) + "\n", encoding="utf-8")
