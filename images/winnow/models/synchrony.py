"""Whether picture and sound move together: lagged correlation of a clip's motion and onset envelopes.

What belongs together starts together, whatever it is; so this part needs no training, and sees a sound that was taken
from another recording of the same thing, which what-goes-with-what cannot see.
"""

from __future__ import annotations

import numpy as np

#: Sound may lead or follow the picture by this many grid cells (2 cells are 0.25 s, beyond what lip-sync standards
#: allow: ITU-R BT.1359-1 puts the limit of acceptability at −90 … +185 ms).
MAX_LAG_CELLS = 2
#: How many grid cells of a clip are looked at: 30 s.
MAX_CELLS = 240


def prepared(envelope: np.ndarray) -> np.ndarray:
    """A motion or onset envelope made comparable: logarithm relative to its mean, the mean removed.

    envelope: not negative, (n,). Returns float32, (MAX_CELLS + 1,): at most MAX_CELLS values, zeros, and last their
    number.
    """
    envelope = np.asarray(envelope, np.float64)[:MAX_CELLS]
    out = np.zeros(MAX_CELLS + 1, np.float32)
    if len(envelope):
        compressed = np.log1p(envelope * (3 / (envelope.mean() + 1e-6)))
        out[: len(envelope)] = compressed - compressed.mean()
    out[-1] = len(envelope)
    return out


def peaks(one: np.ndarray, many: np.ndarray, *, one_is_motion: bool) -> np.ndarray:
    """Highest correlation within MAX_LAG_CELLS of one clip's envelope with each of many others' of the other kind.

    one: (MAX_CELLS + 1,), many: (m, MAX_CELLS + 1), as `prepared` gives them; of two lengths the shorter counts. The
    order of the arguments does not matter to the result. Returns float64, (m,), in −1 … 1; 0 where either does not
    change.
    """
    length = np.minimum(one[-1], many[:, -1]).astype(np.int64)
    cells = max(int(length.max(initial=0)), 2 * MAX_LAG_CELLS)  # what follows is zero in all of them
    inside = np.arange(cells) < length[:, None]
    left, right = (np.where(inside, side, np.float64(0)) for side in (one[:cells], many[:, :cells]))
    motion, onset = (left, right) if one_is_motion else (right, left)
    power = np.sqrt(np.square(motion).sum(axis=1) * np.square(onset).sum(axis=1))
    best = np.full(len(many), -np.inf)
    for lag in range(-MAX_LAG_CELLS, MAX_LAG_CELLS + 1):
        early = motion[:, max(0, -lag) : cells - max(0, lag)]
        late = onset[:, max(0, lag) : cells - max(0, -lag)]
        best = np.maximum(best, (early * late).sum(axis=1))
    return np.where(power > 1e-6, best / np.maximum(power, 1e-6), 0.0)
