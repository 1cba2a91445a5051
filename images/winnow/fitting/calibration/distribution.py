"""What is kept of a scorer's scores over one kind of pairs: the parameters of the normal fit, how normal it is, and a
histogram from which any threshold's share can be told later.

All kinds of a scorer share one grid, laid by the non-corresponding fit: bin edges at μ + σ·i/20. So a threshold μ + kσ
with k a multiple of 0.05 falls on an edge, and shares above it are exact counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

#: Bins in one standard deviation of the non-corresponding pairs.
BINS_PER_STD = 20
#: The grid's ends, in those deviations. Scores beyond them count in the first and last bin.
LOWEST, HIGHEST = -10, 20
#: Share of a normal distribution above its mean + 3 deviations.
NORMAL_ABOVE_3STD = 0.001349898
DIGITS = 9


def fit_normal(values: np.ndarray) -> tuple[float, float]:
    """Mean and deviation (of maximum likelihood), rounded; sums are exact, so they do not depend on the order."""
    mean = math.fsum(values) / len(values)
    return round(mean, DIGITS), round(math.sqrt(math.fsum((values - mean) ** 2) / len(values)), DIGITS)


def describe(values: Mapping[str, np.ndarray], null: str = "non_corresponding") -> dict[str, dict[str, object]]:
    """By kind: n, mean, std, minimum, maximum, skewness and (excess) kurtosis (0 and 0 for a normal one), above_3std
    (share above its own mean + 3 std; 0.00135 for a normal one), hist_start, hist_width, hist_counts.

    values: float64 scores by kind, the kind `null` among them; it must have some.
    """
    mean, std = fit_normal(values[null])
    width = round(std / BINS_PER_STD, DIGITS + 3) or 1.0 / BINS_PER_STD
    places = {kind: np.floor((of - mean) / width + 1e-9).astype(np.int64) for kind, of in values.items()}
    ends = LOWEST * BINS_PER_STD, HIGHEST * BINS_PER_STD - 1
    every = np.clip(np.concatenate(list(places.values())), *ends)
    first, last = int(every.min()), int(every.max())
    out = {}
    for kind, of in values.items():
        counts = np.bincount(np.clip(places[kind], first, last) - first, minlength=last - first + 1)
        grid = {"hist_start": round(mean + first * width, DIGITS), "hist_width": width, "hist_counts": counts.tolist()}
        out[kind] = {"n": len(of), **(_moments(of) if len(of) else _NOTHING), **grid}
    return out


_NOTHING = dict.fromkeys(("mean", "std", "minimum", "maximum", "skewness", "kurtosis", "above_3std"))


def _moments(values: np.ndarray) -> dict[str, object]:
    mean, std = fit_normal(values)
    about = (values - mean) / std if std else np.zeros(len(values))
    n = len(values)
    return {
        "mean": mean,
        "std": std,
        "minimum": round(float(values.min()), DIGITS),
        "maximum": round(float(values.max()), DIGITS),
        "skewness": round(math.fsum(about**3) / n, 6) if std else None,
        "kurtosis": round(math.fsum(about**4) / n - 3, 6) if std else None,
        "above_3std": round(int((about > 3).sum()) / n, DIGITS),
    }
