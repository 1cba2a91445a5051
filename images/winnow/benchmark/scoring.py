"""Methods that score every pair on its own: chance, what an oracle knows, and closeness of the two sides after PCA.

Ranking by a score may look at all pairs, or, to be compared with batch greedy, only at its draws: so many random pairs
of the remaining ones at a time, of which the best few are taken. The oracle under the same draws is the ceiling of a
batch greedy selection: towards the end a batch no longer holds enough true pairs.

The same draws: both read the one stream that `selection.batch_greedy` documents, a function of the seed and of how many
are selected. The first pair and the first batch are the same ones. Later rounds read the same positions, so their
batches differ only where one of the two has taken a pair that the other has not (it reads one position more), and once
fewer than half of all are left, which are then numbered anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from winnow.benchmark.protocol import Draw
from winnow.selection.objectives import Pool

CLOSENESS = ("cosine", "inner product", "L1", "L2")


def ranked(score: np.ndarray, seed: int) -> np.ndarray:
    """Rows by score, the highest first, equal ones in random order: int64 (n,)."""
    chance = np.random.default_rng([seed, 3]).permutation(len(score))
    return chance[np.argsort(-score[chance], kind="stable")]


def ranked_in_batches(score: np.ndarray, size: int, batch: int, take: int, seed: int) -> np.ndarray:
    """Rows in the order in which batches take them, by batch greedy's rule and from its draws: one random row first,
    then of `batch` random remaining rows the `take` with the highest score, the lowest row of equals, until `size` are
    taken. int64 (size,)."""
    pool, out, done = Pool(len(score), np.empty(0, np.int64), seed), np.empty(size, np.int64), 0
    while done < size:
        drawn = pool.draw(batch if done or len(score) <= batch else 1)
        best = drawn[np.lexsort((drawn, -score[drawn]))[: min(take if done else 1, size - done)]]
        pool.taken[best] = True
        out[done : done + len(best)] = best
        done += len(best)
    return out


def knows_classes(draw: Draw) -> np.ndarray:
    """The best that classes alone can tell: the share of true pairs among all pairs of the same two classes, (n,)."""
    _, cell = np.unique(draw.classes, axis=0, return_inverse=True)
    cell = cell.ravel()
    return (np.bincount(cell, draw.true) / np.bincount(cell))[cell]


def knows_agreement(draw: Draw) -> np.ndarray:
    """Whether the two classes are the same, without knowing which classes kept their pairing: (n,)."""
    return (draw.classes[:, 0] == draw.classes[:, 1]).astype(np.float64)


def closeness(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], draw: Draw, pairs: Sequence[tuple[int, int]]
) -> dict[str, np.ndarray]:
    """How close the sides of every pair lie after PCA to the smaller dimension of the two layers, mean over pairs of
    layers, by name in CLOSENESS: (n,) each, higher is closer.

    first, second: layers (n1, dim) and (n2, dim); pairs: a layer of either. PCA is fitted on each side on its own, and
    each pair of layers counts alike (its scores are divided by their standard deviation). No pairing is learnt.
    """
    reduced = [
        {k: _components(layers[k]) for k in {pair[side] for pair in pairs}}
        for side, layers in enumerate((first, second))
    ]
    out = {name: np.zeros(len(draw)) for name in CLOSENESS}
    for i, j in pairs:
        dims = min(reduced[0][i].shape[1], reduced[1][j].shape[1])
        a, b = reduced[0][i][draw.first, :dims], reduced[1][j][draw.second, :dims]
        inner = (a * b).sum(axis=1)
        length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        values = (inner / np.maximum(length, 1e-12), inner, -np.abs(a - b).sum(axis=1), -np.linalg.norm(a - b, axis=1))
        for name, value in zip(CLOSENESS, values, strict=True):
            out[name] += value / max(value.std(), 1e-12)
    return out


def _components(layer: np.ndarray) -> np.ndarray:
    """Principal components of a layer, the strongest first: (n, min(n, dim))."""
    from sklearn.decomposition import PCA

    layer = np.asarray(layer, np.float64)
    return PCA(min(layer.shape), svd_solver="covariance_eigh").fit_transform(layer)
