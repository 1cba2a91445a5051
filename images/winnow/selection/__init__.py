"""Which clips of a corpus to keep: those whose picture and sound clusterings share most information.

`kmeans` assigns every feature layer's vectors to clusters; here clips are chosen from these assignments. Public:
`pairing`, `pair_weights`, `mutual_information`, `gains`, `batch_greedy`, `exact_greedy`, `refine` (another objective),
the measures of two clusterings in `measures`. Numba is imported by the first call only.
"""

from __future__ import annotations

from winnow.selection.greedy import DEFAULT_BATCH, DEFAULT_TAKE, PRESETS, batch_greedy, exact_greedy
from winnow.selection.measures import contingency, gains, mutual_information
from winnow.selection.pairings import PAIRINGS, WEIGHTS, pair_weights, pairing
from winnow.selection.refine import refine

__all__ = [
    "DEFAULT_BATCH",
    "DEFAULT_TAKE",
    "PAIRINGS",
    "PRESETS",
    "WEIGHTS",
    "batch_greedy",
    "contingency",
    "exact_greedy",
    "gains",
    "mutual_information",
    "pair_weights",
    "pairing",
    "refine",
]
