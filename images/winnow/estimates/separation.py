"""Separation: how well a scorer tells true pairs from false ones, and whether that could be chance.

The area under the curve (AUC) is the share of (true, false) couples that it puts in the right order, ties half (H. B.
Mann, D. R. Whitney 1947). Its interval is the percentile bootstrap over groups, since clips of one video are no
independent witnesses: a video is drawn with all pairs in which its clips are seen. The permutation test asks how often
an AUC as large comes out where each clip's own sound is any of those that it was paired with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 1_000
#: A scorer is trusted where chance lies below its interval and explains its AUC no more often than this.
MOST_P = 0.01
DIGITS = 4


@dataclass(frozen=True)
class Separation:
    """AUC with its interval; p_value of the permutation test; clips and groups that it was measured on, and how many
    independent clips of one group each those are worth (Kish's effective size); accepted: share of true pairs that the
    rule takes; is_trusted: see MOST_P."""

    auc: float
    auc_low: float
    auc_high: float
    p_value: float
    clips: int
    groups: int
    clips_effective: float
    accepted: float
    is_trusted: bool

    def row(self) -> dict[str, float | int | bool]:
        """Its fields by name."""
        return asdict(self)


def auc(scores: np.ndarray, true: np.ndarray, weights: np.ndarray) -> float:
    """Weighted AUC of scores (n,), of which those of `true` (bool, n) should be the larger; NaN where either kind has
    no weight."""
    level = np.unique(scores, return_inverse=True)[1]
    return _auc(level, int(level.max()) + 1, true, weights)


def _auc(level: np.ndarray, levels: int, true: np.ndarray, weights: np.ndarray) -> float:
    own = np.bincount(level, weights * true, levels)
    other = np.bincount(level, weights * ~true, levels)
    total = own.sum() * other.sum()
    return float((own * (np.cumsum(other) - other / 2)).sum() / total) if total else float("nan")


def separation(
    scores: np.ndarray, true: np.ndarray, seen: np.ndarray, group: np.ndarray, *, rule: float, seed: int = 0
) -> Separation:
    """What scores of pairs say of their scorer.

    scores: (n,) of held-out pairs; true: bool (n,); seen: (n,) number of the clip whose picture it is, each with one
    true pair; group: (n,) that clip's video, or whatever else its clips share; rule: least score of a pair that is
    taken; seed: of both resamplings. ValueError where there is no false pair.
    """
    true = true.astype(bool)
    if true.all() or not true.any():
        raise ValueError("a separation is that of true from false pairs: one of both is missing")
    rng = np.random.default_rng(seed)
    level = np.unique(scores, return_inverse=True)[1]
    levels, one = int(level.max()) + 1, np.ones(len(scores))
    found = _auc(level, levels, true, one)

    number = np.unique(group, return_inverse=True)[1]
    groups = int(number.max()) + 1
    drawn = [
        _auc(
            level, levels, true, np.bincount(rng.integers(groups, size=groups), minlength=groups)[number].astype(float)
        )
        for _ in range(RESAMPLES)
    ]
    edge = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(drawn, [edge, 1 - edge])

    as_large = 0
    for _ in range(RESAMPLES):
        order = np.lexsort((rng.random(len(scores)), seen))
        any_one = np.zeros(len(scores), bool)
        any_one[order[np.flatnonzero(np.diff(seen[order], append=-1))]] = True
        as_large += _auc(level, levels, any_one, one) >= found
    p_value = (1 + as_large) / (1 + RESAMPLES)

    sizes = np.bincount(number[true], minlength=groups).astype(float)
    return Separation(
        auc=round(found, DIGITS),
        auc_low=round(float(low), DIGITS),
        auc_high=round(float(high), DIGITS),
        p_value=round(p_value, DIGITS),
        clips=int(true.sum()),
        groups=groups,
        clips_effective=round(float(sizes.sum() ** 2 / (sizes**2).sum()), 1),
        accepted=round(float((scores[true] >= rule).mean()), DIGITS),
        is_trusted=bool(low > 0.5 and p_value <= MOST_P),
    )
