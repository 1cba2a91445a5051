"""The space in which a layer's vectors are clustered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from winnow.selection.kmeans import kernels as kernels

#: Bytes of a sample that are looked at or converted at a time.
PART_BYTES = 1 << 22
#: What is usual is told from so many rows of a sample, which is in random order: as far from its column's median lies
#: this share of values. What lies WILD times further out (in the widest column) is cut before anything is derived.
PROBE_ROWS, USUAL, WILD = 4096, 0.99, 16


@dataclass(frozen=True)
class Frame:
    """How a layer's vectors are brought to the space in which they are clustered: (x − centre) · factor, in grid steps.

    centre, factor: float32 (d,); step: a power of two.
    """

    centre: np.ndarray
    factor: np.ndarray
    step: float

    @classmethod
    def of(cls, sample: np.ndarray, whiten: bool) -> Frame:
        """The frame of a sample (n, d): its mean; 1 or 1 / standard deviation (1 where that is 0); a grid that its
        largest value fills. Wild values are cut first: one of 10^7 would make the grid too coarse for all others."""
        n, dim = sample.shape
        low, high = _bounds(sample[:PROBE_ROWS].astype(np.float32))
        total, spread, largest = np.zeros(dim), np.zeros(dim), 0.0
        room = np.empty((max(PART_BYTES // (4 * dim), 1), dim), np.float32)

        def parts() -> Iterator[np.ndarray]:
            for first in range(0, n, len(room)):
                part = room[: min(len(room), n - first)]
                np.copyto(part, sample[first : first + len(room)], casting="same_kind")
                yield np.clip(part, low, high, out=part)

        for part in parts():
            kernels.column_sums(part, total)
        mean, factor = total / n, np.ones(dim)
        if whiten:
            for part in parts():
                kernels.column_squares(part, mean, spread)
            deviation = np.sqrt(spread / n)
            factor = 1 / np.where(deviation > 1e-9 * np.maximum(np.abs(mean), 1e-30), deviation, 1.0)
        centre, factor = mean.astype(np.float32), factor.astype(np.float32)
        for part in parts():
            largest = max(largest, float(kernels.largest(part, centre, factor)))
        step = 2.0 ** (np.ceil(np.log2(largest)) - kernels.GRID_BITS) if largest > 0 else 1.0
        return cls(centre, factor, float(step))

    def prepare(self, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Rows (n, d) of any floating type in this space, float32; in `out` where it is given."""
        out = np.empty(rows.shape, np.float32) if out is None else out
        height = max(len(rows) if rows.dtype == np.float32 else PART_BYTES // (4 * rows.shape[1]), 1)
        for first in range(0, len(rows), height):
            part = np.ascontiguousarray(rows[first : first + height], np.float32)
            kernels.prepare(part, self.centre, self.factor, np.float32(self.step), out[first : first + height])
        return out


def _bounds(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest value of each column, float32 (d,), that are not wild, from some rows (n, d)."""
    columns, last = np.ascontiguousarray(rows.T), len(rows) - 1
    middle = np.partition(columns, last // 2, axis=1)[:, last // 2]
    with np.errstate(over="ignore"):
        gaps = np.abs(columns - middle[:, None])
    at = int(USUAL * last)
    usual = np.partition(gaps, at, axis=1)[:, at].max()
    reach = np.float32(WILD) * usual if usual > 0 else np.float32(np.inf)
    return middle - reach, middle + reach
