"""Precision, recall and F1 of a rule against what is known, with intervals.

Intervals are the percentile bootstrap over groups (videos), since clips of one video are no independent witnesses: a
group is drawn with all its clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 1_000
DIGITS = 4
FIGURES = ("precision", "recall", "f1")


@dataclass(frozen=True)
class Draws:
    """How often each group is in each resample: int16, (RESAMPLES, groups)."""

    counts: np.ndarray

    @classmethod
    def of(cls, groups: int, seed: int = 0) -> Draws:
        """Resamples of so many groups, with replacement."""
        rng = np.random.default_rng(seed)
        return cls(
            np.stack(
                [np.bincount(rng.integers(groups, size=groups), minlength=groups) for _ in range(RESAMPLES)]
            ).astype(np.int16)
        )


def detection(group: np.ndarray, true: np.ndarray, said: np.ndarray, draws: Draws) -> dict[str, object]:
    """How well answers are the truth: {"cases", "groups", "positives", "said", and of each of FIGURES its value with
    `_low` and `_high`; None where it has no denominator}.

    group: (n,) number of each case's group, from 0; true, said: bool, (n,).
    """
    own, place = np.unique(group, return_inverse=True)
    sums = np.stack([np.bincount(place, hit, len(own)) for hit in (true & said, said, true)], axis=1)
    told: dict[str, object] = {
        "cases": len(group),
        "groups": len(own),
        "positives": int(true.sum()),
        "said": int(said.sum()),
    }
    values = _figures(sums.sum(axis=0))
    drawn = _figures(draws.counts[:, own] @ sums)
    edge = (1 - CONFIDENCE) / 2
    for name, value, resampled in zip(FIGURES, values, drawn, strict=True):
        known = resampled[~np.isnan(resampled)]
        has = not np.isnan(value)
        low, high = np.quantile(known, [edge, 1 - edge]) if has and len(known) else (None, None)
        for key, number in ((name, value if has else None), (f"{name}_low", low), (f"{name}_high", high)):
            told[key] = None if number is None else round(float(number), DIGITS)
    return told


def _figures(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1, NaN for none, of counts (…, 3): right answers, answers, truths."""
    right, said, true = np.moveaxis(np.asarray(sums, np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return right / said, right / true, 2 * right / (said + true)
