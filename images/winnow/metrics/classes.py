"""Classification of whole clips: is the true class the first, or among the first five (linear probes, ACAV100M).

A class that scores as high as the true one counts half of a place before it."""

from __future__ import annotations

import numpy as np

from winnow.core.errors import ContractError

KS = (1, 5)


def places(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Place of the true class, from 1: (n,) float64. scores (n, C), target (n,). ContractError for NaN, or for a class
    that there is not."""
    if scores.ndim != 2 or len(scores) != len(target):
        raise ContractError(f"scores are {scores.shape} and {len(target)} classes are said: (clips, classes) is wanted")
    if len(target) and (target.min() < 0 or target.max() >= scores.shape[1]):
        raise ContractError(f"a class is {int(target.max())}, and scores are of {scores.shape[1]}, from 0")
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores).all(1))[0])
        raise ContractError(f"row {row} of the scores is not finite")
    own = scores[np.arange(len(scores)), target][:, None]
    return 1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2


def score(scores: np.ndarray, target: np.ndarray) -> dict[str, object]:
    """{"top_1", "top_5", "clips", "classes", "majority"}: the last is what answering the most frequent class scores."""
    found = places(scores, target)
    said: dict[str, object] = {f"top_{k}": float((found <= k).mean()) for k in KS}
    counts = np.bincount(target, minlength=scores.shape[1])
    return {**said, "clips": len(target), "classes": scores.shape[1], "majority": float(counts.max() / len(target))}
