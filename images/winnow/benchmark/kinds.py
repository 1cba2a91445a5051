"""Made-up clips of kinds of unequal size: what digits, with as many of each, cannot show.

A kind's two sides are drawn on their own: in every layer a point near the centre of its kind, or, now and then, of
another one. The first layers err as often as the last. Labels are the kinds; the features are all that a method reads.
"""

from __future__ import annotations

import numpy as np

KINDS, LAYERS, DIM = 32, 5, 16
#: A layer shows another kind than the clip's with this probability; spread around a centre, in distances of centres.
ERROR, SPREAD = 0.3, 0.12


def sizes(clips: int) -> np.ndarray:
    """How many clips each kind has, int64 (KINDS,): as 1 / (3 + its number), so the largest has 11 times as many as the
    smallest and a ninth of all."""
    share = 1 / np.arange(3, 3 + KINDS)
    edges = np.rint(np.cumsum(share / share.sum()) * clips).astype(np.int64)
    return np.diff(edges, prepend=0)


def made(clips: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Layers of either side, float32 (clips, DIM) each, and the kind of every clip, int64 (clips,), kind by kind."""
    rng = np.random.default_rng([seed, 128])
    kind = np.repeat(np.arange(KINDS), sizes(clips))
    sides: list[list[np.ndarray]] = [[], []]
    for side in sides:
        for _ in range(LAYERS):
            centres = rng.standard_normal((KINDS, DIM))
            shown = np.where(rng.random(clips) < ERROR, rng.permutation(kind), kind)
            spread = rng.standard_normal((clips, DIM)) * SPREAD * np.sqrt(2)
            side.append((centres[shown] + spread).astype(np.float32))
    return sides[0], sides[1], kind
