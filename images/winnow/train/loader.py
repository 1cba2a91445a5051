"""The loader of vectors: batches of memory-mapped rows, joined to examples by id, in an order that seed and epoch fix.

A store is a folder of plain arrays, one row a clip, and the ids of the rows; it is mapped, so what is resident is what
the last batches touched, and no object of Python is made of a row. The order of an epoch is a function of seed and
epoch alone; ranks take every so many-th batch of it, so each example is seen once an epoch by one of them, and step k
of a run that was killed is step k of one that was not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.errors import ContractError
from winnow.core.lake import sha256_bytes

if TYPE_CHECKING:
    import pyarrow as pa

#: Batches that are read ahead.
AHEAD = 2
CARD = "card.json"


def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch: a permutation of `count` rows that depends on seed and epoch alone."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(count)


def wanted(
    start: int, per_epoch: int, epochs: int, listed: Callable[[int], list[np.ndarray]]
) -> Iterator[tuple[int, int, np.ndarray]]:
    """(step, epoch, rows) from step `start` on, of what `listed` gives for each epoch."""
    for epoch in range(start // per_epoch, epochs):
        for k, rows in enumerate(listed(epoch)):
            step = epoch * per_epoch + k
            if step >= start:
                yield step, epoch, rows


def own(seed: int, epoch: int, name: str) -> np.random.Generator:
    """What is drawn for one example in one epoch: of seed, epoch and id alone."""
    return np.random.default_rng([seed, epoch, int(sha256_bytes(name.encode())[:15], 16)])


def batches(
    count: int, size: int, seed: int, epoch: int, *, rank: int = 0, ranks: int = 1, fixed: bool = False
) -> list[np.ndarray]:
    """A rank's batches of an epoch, as rows; the last one may be smaller, none is left out. `fixed`: in the order of
    the rows, without the remainder, as AVE's released code has it."""
    if fixed:
        listed = [np.arange(at, at + size) for at in range(0, count - size + 1, size)]
    else:
        rows = order(count, seed, epoch)
        listed = [rows[at : at + size] for at in range(0, count, size)]
    return listed[rank::ranks]


@dataclass(frozen=True)
class Vectors:
    """A store that is open: ids (Arrow, in the order of the rows) and arrays by input, (rows, T, …) float32 mapped."""

    ids: pa.Array
    arrays: Mapping[str, np.ndarray]
    card: Mapping[str, object]

    @classmethod
    def open(cls, folder: Path) -> Vectors:
        """Map a store; ContractError for one that is not whole."""
        import pyarrow.parquet as pq

        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            ids = pq.read_table(folder / "ids.parquet")["sample_id"].combine_chunks()
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in card["inputs"]}
        except (OSError, ValueError, KeyError) as error:
            raise ContractError(
                f"{folder} is no whole store of vectors ({error}): remove it, it is made anew"
            ) from error
        if any(len(array) != len(ids) for array in arrays.values()):
            raise ContractError(f"{folder} has other numbers of ids and of rows: remove it, it is made anew")
        return cls(ids, arrays, card)

    def rows_of(self, ids: pa.Array) -> np.ndarray:
        """Rows of these ids, int64; −1 for one that is not there."""
        import pyarrow.compute as pc

        found = pc.index_in(ids, value_set=self.ids)
        return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)

    def take(self, rows: np.ndarray, out: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """Copies of rows by input; into `out` where given."""
        found = {}
        for name, array in self.arrays.items():
            into = None if out is None else out[name][: len(rows)]
            found[name] = np.take(array, rows, axis=0, out=into, mode="clip")
        return found


@dataclass(frozen=True)
class Batch:
    """A step's input: which examples (rows of the set's examples), and their vectors by input, (B, T, …) float32."""

    step: int
    epoch: int
    rows: np.ndarray
    inputs: Mapping[str, np.ndarray]


class Loader:
    """Batches of all epochs from a step on. `places`: the store's row of each example. `waited_s` grows by the time in
    which the caller waited for data."""

    def __init__(
        self,
        vectors: Vectors,
        places: np.ndarray,
        *,
        size: int,
        seed: int,
        epochs: int,
        fixed: bool = False,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if not len(places):
            raise ContractError("there is no example to load: the set is empty")
        if (places < 0).any():
            raise ContractError(f"example {int(np.flatnonzero(places < 0)[0])} has no vectors: join by id first")
        self.vectors, self.places, self.size, self.seed = vectors, places, size, seed
        self.epochs, self.fixed, self.rank, self.ranks = epochs, fixed, rank, ranks
        self.waited_s = 0.0
        self.per_epoch = len(self._listed(0))
        if not self.per_epoch:
            raise ContractError(f"{len(places)} examples are no batch of {size} where the remainder is dropped")

    def _listed(self, epoch: int) -> list[np.ndarray]:
        count, rank, ranks = len(self.places), self.rank, self.ranks
        return batches(count, self.size, self.seed, epoch, rank=rank, ranks=ranks, fixed=self.fixed)

    def __len__(self) -> int:
        return self.per_epoch * self.epochs

    def steps(self, start: int = 0) -> Iterator[Batch]:
        """Batches from step `start` on, read ahead by one thread; memory is that of AHEAD + 1 batches."""
        with ThreadPoolExecutor(1, thread_name_prefix="vectors") as pool:
            coming: list[Future[Batch]] = []
            coming_up = wanted(start, self.per_epoch, self.epochs, self._listed)
            try:
                for _ in range(AHEAD):
                    self._submit(pool, coming, coming_up)
                while coming:
                    began = time.perf_counter()
                    batch = coming.pop(0).result()
                    self.waited_s += time.perf_counter() - began
                    self._submit(pool, coming, coming_up)
                    yield batch
            finally:
                for future in coming:
                    future.cancel()

    def _submit(self, pool: ThreadPoolExecutor, coming: list, coming_up: Iterator) -> None:
        found = next(coming_up, None)
        if found is not None:
            coming.append(pool.submit(self._read, *found))

    def _read(self, step: int, epoch: int, rows: np.ndarray) -> Batch:
        draw = getattr(self.vectors, "draw", None)  # a source whose examples are drawn anew each epoch
        inputs = draw(self.places[rows], self.seed, epoch) if draw else self.vectors.take(self.places[rows])
        return Batch(step, epoch, rows, inputs)
