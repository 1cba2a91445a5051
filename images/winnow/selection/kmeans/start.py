"""Where k-means begins: first centres, and the growing parts of a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

#: Rows that are looked at in one piece, however many threads there are: what comes out does not depend on their number.
PIECE = 4096


def plus_plus(
    rows: np.ndarray,
    clusters: int,
    rng: np.random.Generator,
    each: Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]] = map,
) -> np.ndarray:
    """Greedy k-means++ (Arthur & Vassilvitskii 2007): each next centre is the best of 2 + ln k rows drawn by their
    squared distance to the centres so far. each: what does pieces of the work, in their order, as `map` does. Returns
    (≤ clusters, d): fewer where there are fewer different rows."""
    trials = 2 + int(np.log(clusters))
    length = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    pieces = [slice(first, first + PIECE) for first in range(0, len(rows), PIECE)]
    chosen = [int(rng.integers(len(rows)))]
    nearest = np.full(len(rows), np.inf)

    def near(drawn: np.ndarray) -> np.ndarray:
        """Squared distances to the nearest centre if one of these rows were the next: (n, drawn)."""

        def some(piece: slice) -> np.ndarray:
            return np.minimum(_squared(rows[piece], length[piece], rows[drawn]), nearest[piece, None])

        return np.concatenate(list(each(some, pieces)))

    nearest = near(np.array(chosen))[:, 0]
    while len(chosen) < clusters:
        edges = np.cumsum(nearest)
        if edges[-1] <= 0:
            break
        drawn = np.minimum(np.searchsorted(edges, rng.random(trials) * edges[-1], side="right"), len(rows) - 1)
        nearer = near(drawn)
        best = int(nearer.sum(axis=0).argmin())
        chosen.append(int(drawn[best]))
        nearest = nearer[:, best].copy()
        nearest[drawn[best]] = 0.0
    return rows[chosen].copy()


def _squared(rows: np.ndarray, length: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances (n, k), float64, from a float32 product; 0 where it cannot tell them from 0."""
    own = np.einsum("ij,ij->i", centres, centres, dtype=np.float64)
    both = length[:, None] + own
    gaps = both - 2.0 * (rows @ centres.T)
    gaps[gaps <= (rows.shape[1] + 4) * 2.0**-23 * both] = 0.0
    return gaps


def grow(sizes: int, smallest: int, times: int) -> Iterator[int]:
    """Sizes of growing samples up to all `sizes` rows, each `times` the one before, none below `smallest`."""
    levels = [sizes]
    while levels[-1] // times >= smallest:
        levels.append(levels[-1] // times)
    return reversed(levels)
