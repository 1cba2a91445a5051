"""A store of vectors on the disk: plain arrays that are mapped (`winnow.train.loader`), made once, whole or not
there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.errors import ContractError
from winnow.train.loader import CARD

if TYPE_CHECKING:
    import pyarrow as pa

LAYOUT = "channels_last"


def make(
    target: Path, ids: pa.Array, blocks: Mapping[str, Iterator[np.ndarray]], shapes: Mapping[str, tuple[int, ...]],
    source: Mapping[str, object],
) -> None:  # fmt: skip
    """Write a store beside its place and rename it there; of two that make the same one the first counts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        for name, found in blocks.items():
            if not len(ids):
                raise ContractError("no clip has all of the vectors that are asked for")
            shape = (len(ids), *shapes[name])
            array = np.lib.format.open_memmap(scratch / f"{name}.npy", "w+", np.float32, shape)
            at = 0
            for block in found:
                wrong = ~np.isfinite(block).reshape(len(block), -1).all(1)
                if wrong.any():
                    clip = ids[at + int(np.flatnonzero(wrong)[0])].as_py()
                    raise ContractError(f"{name} of clip {clip} has values that are not finite (NaN or infinity)")
                array[at : at + len(block)] = block
                at += len(block)
            array.flush()
            del array
        pq.write_table(pa.table({"sample_id": ids}), scratch / "ids.parquet")
        card = {"inputs": {k: list(v) for k, v in shapes.items()}, "layout": LAYOUT, "rows": len(ids), **source}
        (scratch / CARD).write_text(json.dumps(card, sort_keys=True) + "\n", encoding="utf-8")
        try:
            os.rename(scratch, target)
        except OSError:
            if not (target / CARD).is_file():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
