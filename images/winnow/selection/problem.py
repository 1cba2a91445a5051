"""What a selection is given, checked once and brought into the form that the kernels read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from winnow.core.errors import ConfigError, ContractError

#: Cells of all pairs' tables together: 1.6 GB of counts and steps.
MOST_CELLS = 1 << 27
MOST_CLIPS = (1 << 31) - 1
#: Clips whose ids are looked at or numbered anew at a time.
PART_ROWS = 1 << 16


def checked_assignments(assignments: ArrayLike) -> tuple[np.ndarray, int]:
    """Cluster ids as a C-contiguous array (clips, layers) of the smallest unsigned type, and how many clusters.

    Ids of 256 and more need not be dense: where they have gaps, each layer's clusters are numbered anew in their order.
    No copy where the array is that already. Raises `ContractError` for another shape or type, or a negative id.
    """
    array = np.asarray(assignments)
    if array.ndim != 2 or array.shape[1] < 2:
        raise ContractError(f"assignments: shape {array.shape}, wanted (clips, layers) with at least 2 layers")
    if array.dtype.kind not in "iu":
        raise ContractError(f"assignments: {array.dtype}, wanted integers (cluster ids)")
    if len(array) > MOST_CLIPS:
        raise ConfigError(f"assignments: {len(array)} clips, at most {MOST_CLIPS} at once; select by chunks")
    if not array.size:
        return np.zeros(array.shape, np.uint8), 1
    if array.dtype.kind == "i" and int(array.min()) < 0:
        clip, layer = np.argwhere(array < 0)[0]
        raise ContractError(f"assignments[{clip}, {layer}] = {array[clip, layer]}: a cluster id is 0 or more")
    highest = int(array.max())
    if highest >= 1 << 16:
        array = np.stack([np.unique(column, return_inverse=True)[1] for column in array.T], axis=1)
        highest = int(array.max())
    elif highest >= 1 << 8:
        array = _without_gaps(array, highest + 1)
        highest = int(array.max())
    kind = np.uint8 if highest < 1 << 8 else np.uint16 if highest < 1 << 16 else np.uint32
    return np.ascontiguousarray(array, dtype=kind), highest + 1


def _without_gaps(array: np.ndarray, ids: int) -> np.ndarray:
    """Each layer's clusters, ids below `ids`, numbered anew in their order; the array itself where some layer has every
    id, so that nothing would be gained."""
    there = np.zeros((array.shape[1], ids), bool)
    parts = range(0, len(array), PART_ROWS)
    for first in parts:
        for layer, column in zip(there, array[first : first + PART_ROWS].T, strict=True):
            layer[column] = True
        if there.all(axis=1).any():
            return array
    numbers = np.cumsum(there, axis=1) - 1
    out = np.empty(array.shape, np.uint8 if numbers.max() < 1 << 8 else np.uint16)
    for first in parts:
        for place, column in enumerate(array[first : first + PART_ROWS].T):
            out[first : first + PART_ROWS, place] = numbers[place][column]
    return out


def checked_pairs(pairs: ArrayLike, layers: int) -> np.ndarray:
    """Pairs of columns as int64 (P, 2). Raises `ConfigError` for another shape, or a column that is not there."""
    array = np.asarray(pairs)
    if array.ndim != 2 or array.shape[1] != 2 or not len(array) or array.dtype.kind not in "iu":
        raise ConfigError(f"pairs: {array.dtype} of shape {array.shape}, wanted integers (P, 2) with P at least 1")
    if int(array.min()) < 0 or int(array.max()) >= layers:
        raise ConfigError(f"pairs: columns {array.min()} to {array.max()}, assignments have 0 to {layers - 1}")
    if (array[:, 0] == array[:, 1]).any():
        raise ConfigError(f"pairs: {array[array[:, 0] == array[:, 1]][0].tolist()} pairs a layer with itself")
    return array.astype(np.int64)


def checked_weights(weights: ArrayLike | None, pairs: int) -> np.ndarray:
    """Weights of pairs as float64 (P,), all 1 by default. Raises `ConfigError` unless finite, >= 0, one above 0."""
    if weights is None:
        return np.ones(pairs)
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (pairs,):
        raise ConfigError(f"weights: shape {array.shape}, wanted one for each of {pairs} pairs")
    if not np.isfinite(array).all() or (array < 0).any() or not 0 < array.sum() < 1 << 30:
        raise ConfigError("weights: finite, none negative, their sum above 0 and below 2^30")
    return array


def checked_indices(indices: ArrayLike | None, clips: int, what: str) -> np.ndarray:
    """Indices of clips as int64, from integers or a mask. Raises `ConfigError` for one out of range or twice."""
    if indices is None:
        return np.empty(0, np.int64)
    array = np.asarray(indices)
    if array.dtype.kind == "b" and array.shape == (clips,):
        return np.flatnonzero(array)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ConfigError(f"{what}: {array.dtype} of shape {array.shape}, wanted a list of clip indices")
    if int(array.min()) < 0 or int(array.max()) >= clips:
        raise ConfigError(f"{what}: indices {array.min()} to {array.max()}, there are clips 0 to {clips - 1}")
    array = array.astype(np.int64)
    if len(array) > 1:
        seen = np.zeros(clips, bool)
        seen[array] = True
        if int(seen.sum()) != len(array):
            raise ConfigError(f"{what}: {len(array) - int(seen.sum())} of {len(array)} indices are repeated")
    return array


def check_cells(pairs: int, clusters: int) -> None:
    """`ConfigError` for more cells of contingency tables than can be held."""
    if pairs * clusters**2 > MOST_CELLS:
        raise ConfigError(f"assignments: {pairs} pairs of {clusters} clusters are more than {MOST_CELLS} cells")


def whole_number(value: Any, what: str, low: int, high: int, why: str) -> int:
    """`value` as an int within low … high, or `ConfigError`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ConfigError(f"{what} = {value!r}: wanted a whole number from {low} to {high} ({why})")
    return int(value)


@dataclass
class Problem:
    """Checked inputs. `rows`: cluster ids, C order, perhaps of those columns only that occur in pairs; `pairs` index
    into `rows`; `weights` up to a factor.
    """

    rows: np.ndarray
    clusters: int
    pairs: np.ndarray
    weights: np.ndarray
    selected: np.ndarray

    @classmethod
    def of(
        cls, assignments: ArrayLike, pairs: ArrayLike, selected: ArrayLike | None, weights: ArrayLike | None
    ) -> Problem:
        """Check everything; raises `ContractError` for the assignments and `ConfigError` for the rest."""
        rows, clusters = checked_assignments(assignments)
        pair = checked_pairs(pairs, rows.shape[1])
        weight = checked_weights(weights, len(pair))
        if (weight == np.rint(weight)).all():
            weight /= np.gcd.reduce(weight.astype(np.int64))  # whole weights stay whole: their ties stay exact
        else:
            weight /= weight.max()
        chosen = checked_indices(selected, len(rows), "selected")
        used = np.unique(pair)
        if len(used) <= rows.shape[1] // 2:  # few columns: a narrow copy is read faster and costs less than half
            rows, pair = np.ascontiguousarray(rows[:, used]), np.searchsorted(used, pair)
        check_cells(len(pair), clusters)
        return cls(rows, clusters, pair, weight, chosen)

    @property
    def free(self) -> int:
        """How many clips are not selected yet."""
        return len(self.rows) - len(self.selected)

    def arrays(self, largest: int) -> tuple[tuple, tuple, np.ndarray]:
        """The kernels' `problem`, `state` (zero counts) and `sums`, for at most `largest` selected clips."""
        from winnow.selection import kernels

        layers, cells = self.rows.shape[1], self.clusters**2
        layer_weights = np.zeros(layers)
        np.add.at(layer_weights, self.pairs.ravel(), np.repeat(self.weights, 2))
        total = float(self.weights.sum())
        bits = 60 - math.ceil(math.log2(64 * total))  # scores, at most 2 · total · 32, stay below 2^61
        values, kinds = np.unique(np.concatenate([self.weights, layer_weights]), return_inverse=True)
        whole = np.where((values == np.rint(values)).all(), values, -1).astype(np.int64)
        length = max(kernels.SMALL, min(largest // 8, kernels.TABLED // len(values)))
        base = kernels.step_table(min(largest + 2, length), bits)
        table = np.stack(
            [base * w if w >= 0 else np.rint(base * v).astype(np.int64) for w, v in zip(whole, values, strict=True)]
        )
        pairs = len(self.pairs)
        problem = (
            self.pairs[:, 0].astype(np.uint64),
            self.pairs[:, 1].astype(np.uint64),
            kinds[:pairs].astype(np.uint64),
            kinds[pairs:].astype(np.uint64),
            whole,
            values,
            table,
            bits,
            total * 2.0**bits,
        )
        state = (
            np.zeros((pairs, cells), np.uint32),
            np.zeros((pairs, cells), np.int64),
            np.zeros((layers, self.clusters), np.uint32),
            np.zeros((layers, self.clusters), np.int64),
        )
        return problem, state, np.zeros(2, np.int64)
