"""Where k-means begins: first centres, and the growing parts of a sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def plus_plus(rows: np.ndarray, clusters: int, rng: np.random.Generator) -> np.ndarray:
    """Greedy k-means++ (Arthur & Vassilvitskii 2007): each next centre is the best of 2 + ln k rows drawn by their
    squared distance to the centres so far. Returns (≤ clusters, d): fewer where there are fewer different rows."""
    trials = 2 + int(np.log(clusters))
    length = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    chosen = [int(rng.integers(len(rows)))]
    nearest = _squared(rows, length, rows[chosen])[:, 0]
    while len(chosen) < clusters:
        edges = np.cumsum(nearest)
        if edges[-1] <= 0:
            break
        drawn = np.minimum(np.searchsorted(edges, rng.random(trials) * edges[-1], side="right"), len(rows) - 1)
        nearer = np.minimum(_squared(rows, length, rows[drawn]), nearest[:, None])
        best = int(nearer.sum(axis=0).argmin())
        chosen.append(int(drawn[best]))
        nearest = nearer[:, best]
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
