"""Coincidence: the probability that a clip's picture and sound belong together, calibrated from its score.

AudioScope's first lists keep clips whose predicted coincidence probability is 0.8 or more; that model (Jansen et al.,
ICASSP 2020) is not published. Here the probability is made from the house's own correspondence score by Platt scaling
(Platt, Probabilistic outputs for support vector machines, 1999): p = 1 / (1 + exp(-(a z + b))), with a and b fitted by
maximum likelihood on two kinds of pairs that weigh the same: the corpus's own pairs, each with the z that a model gave
it which never saw its video, and mismatched pairs, whose z has mean 0 and deviation 1 by its definition
(models.correspondence) and is taken as normal, at NODES evenly spaced quantiles.

So p answers: is this a pair as the corpus has them, or one of mismatched picture and sound, if both are equally likely?
It is not the share of clips that truly correspond: pairs of the corpus that do not (dubbed, covered by music) count as
true ones in the fit and make p smaller and flatter, which keeps fewer clips. Each scorer is calibrated by itself; one
with too few clips, or whose z does not tell the two kinds apart, gives no probability.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

NODES = 999
STEPS = 50
DIGITS = 6
#: z is cut here: beyond it a pair is as good or as bad as certain, and one wild value must not rule the fit.
LIMIT = 20.0


def probabilities(rows: pa.Table, *, least: int) -> pa.Table:
    """Probability of every clip. rows: sample_id, model (of the scorer), z; in a fixed order. Returns sample_id, model,
    coincidence_p (null for a scorer with fewer than `least` clips or without separation)."""
    import numpy as np
    import pyarrow as pa

    z = np.clip(rows["z"].to_numpy(zero_copy_only=False).astype(np.float64), -LIMIT, LIMIT)
    model = np.asarray([name or "" for name in rows["model"].to_pylist()], dtype=object)
    p = np.full(len(z), np.nan)
    for name in sorted(set(model)):
        own = model == name
        fitted = platt(z[own]) if own.sum() >= least else None
        if fitted is not None:
            slope, offset = fitted
            p[own] = np.round(1 / (1 + np.exp(-(slope * z[own] + offset))), DIGITS)
    return pa.table(
        {"sample_id": rows["sample_id"], "model": rows["model"], "coincidence_p": pa.array(p, from_pandas=True)},
        schema=pa.schema([("sample_id", pa.string()), ("model", pa.string()), ("coincidence_p", pa.float64())]),
    )


def platt(z: np.ndarray) -> tuple[float, float] | None:
    """Slope and offset, rounded, of the log-odds that a z is of a true pair and not of a mismatched one; None where
    true pairs do not score higher. z: (n,), of true pairs. Newton's method on the weighted likelihood, with Platt's
    targets (n + 1) / (n + 2) instead of 1, which keep the slope finite where the two kinds do not overlap."""
    import numpy as np

    normal = NormalDist()
    null = np.array([normal.inv_cdf((i + 1) / (NODES + 1)) for i in range(NODES)])
    x = np.concatenate([z, null])
    sure = (len(z) + 1) / (len(z) + 2)
    target = np.concatenate([np.full(len(z), sure), np.full(NODES, 1 - sure)])
    weight = np.concatenate([np.full(len(z), 0.5 / len(z)), np.full(NODES, 0.5 / NODES)])
    slope = offset = 0.0
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(slope * x + offset, -500, 500)))
        error, curve = weight * (target - p), weight * p * (1 - p)
        g, h = (error * x).sum(), error.sum()
        xx, x1, one = (curve * x * x).sum() + 1e-12, (curve * x).sum(), curve.sum() + 1e-12
        det = xx * one - x1 * x1
        if det <= 0:
            break
        d_slope, d_offset = (one * g - x1 * h) / det, (xx * h - x1 * g) / det
        slope, offset = slope + d_slope, offset + d_offset
        if abs(d_slope) + abs(d_offset) < 1e-9:
            break
    return (round(float(slope), DIGITS), round(float(offset), DIGITS)) if slope > 0 else None
