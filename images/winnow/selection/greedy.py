"""Greedy selection of the clips whose clusterings tell most about each other (ACAV100M; released code,
subset_selection).

S grows by the clips that raise the mean mutual information (MI, nats) over pairs of clusterings most. Exact greedy
looks at every candidate at each step; batch greedy draws some at random, scores each alone against S and takes the best
few at once. Both return the new picks in order and what each added.

Definitions that hold for both:

- MI(∅) = 0, so the first clip of an empty S has gain 0. gain[t] = MI(S + picks up to t) − MI(S + picks before t): gains
  add up to the MI of the whole minus the MI of what was `selected`. In a batch's round the clips taken together count
  one after the other, best first.
- Scores are compared as integers in which exact ties are equal (see `kernels`); the lowest index of equals wins. From
  an empty S all clips are equal: exact greedy begins with clip 0.
- `size` counts new picks. `selected` clips are counted first and never picked again; their order does not matter.
  Exact greedy continues: size a, then size b with those selected, equals size a + b. A smaller size gives a prefix.

MI of counts is not submodular: a candidate's gain can grow while S grows (tests show one), so bounds from earlier
steps ("lazy greedy") would change the picks. Exact greedy instead corrects the scores that a pick changes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from winnow.selection.problem import MOST_CLIPS, Problem, whole_number

#: Batch greedy's draw and take. In tests/bench/selection.py (40 k clips, bipartite, 50 %) precision is 0.883 at 20/4 in
#: 8 ms, 0.919 at 20/2 in 12, 0.933 at 20/1 in 21, 0.944 at 50/1 in 49 and no better beyond. At 20 % 20/1 is 0.002 from
#: the generator's Bayes rule, and larger batches find no more mean MI. Taking one at a time is what helps: picks that
#: were scored against the same S are alike.
DEFAULT_BATCH, DEFAULT_TAKE = 20, 1
#: (batch, take) by name; `acav` is the default of ACAV100M's released code.
PRESETS = {"default": (DEFAULT_BATCH, DEFAULT_TAKE), "acav": (20, 4)}


def batch_greedy(
    assignments: ArrayLike,
    pairs: ArrayLike,
    size: int,
    batch: int = DEFAULT_BATCH,
    take: int = DEFAULT_TAKE,
    seed: int = 0,
    selected: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    objective: str = "mi",
) -> tuple[np.ndarray, np.ndarray]:
    """Order (int64) and gain (float64, nats) of `size` new picks by batch greedy; time O(size · batch / take · pairs).

    `assignments`: integers (clips, layers), cluster ids from 0; `pairs`: (P, 2) columns, see `pairing`; `weights`: one
    a pair. A round draws `batch` candidates at random without repetition from those not selected, scores each alone
    against S, adds the best `take` and returns the others. When no more than `batch` are left, all are looked at. An
    empty S is begun with one clip: drawn at random, or clip 0 where all are looked at. So `batch` = clips with
    `take` = 1 is exact greedy.

    Draws are a function of `seed` and |S|: in the round that begins with n clips in S, draw i = 1, 2, … is
    mix(mix(seed + G(n + 1)) + G i), all mod 2^64, G = 0x9E3779B97F4A7C15, mix = splitmix64's finaliser; its position
    is the upper half of draw · (pool's length). The pool is 0 … clips − 1 at first; at the beginning of a round in
    which fewer than half of its entries remain (or no more than `batch`), it becomes what remains, ascending. A
    position drawn twice in a round, or selected, is drawn again.

    `objective`: another measure of `measures.OBJECTIVES`, slow, for ablations on small inputs.
    Raises `ContractError` for the assignments, `ConfigError` for the other arguments.
    """
    problem = Problem.of(assignments, pairs, selected, weights)
    size = whole_number(size, "size", 0, problem.free, "clips that are not selected")
    batch = whole_number(batch, "batch", 1, MOST_CLIPS, "candidates a round")
    take = whole_number(take, "take", 1, batch, "at most the batch")
    seed = whole_number(seed, "seed", 0, (1 << 64) - 1, "64 bits")
    batch = min(batch, max(1, problem.free))
    order, gain = np.empty(size, np.int64), np.empty(size)
    if not size:
        return order, gain
    if objective != "mi":
        from winnow.selection.objectives import greedy_by

        return greedy_by(problem, objective, size, batch, take, seed)
    from winnow.selection import kernels

    about, state, sums = problem.arrays(len(problem.selected) + size)
    kernels.prime(problem.rows, problem.selected, about, state, sums)
    taken = np.zeros((len(problem.rows) + 7) // 8, np.uint8)
    if len(problem.selected):
        mask = np.zeros(len(problem.rows), bool)
        mask[problem.selected] = True
        taken = np.packbits(mask, bitorder="little")
    kernels.batch_rounds(
        problem.rows,
        taken,
        problem.free,
        len(problem.selected),
        about,
        state,
        sums,
        batch,
        min(take, batch),
        np.uint64(seed),
        order,
        gain,
    )
    return order, gain


def exact_greedy(
    assignments: ArrayLike,
    pairs: ArrayLike,
    size: int,
    selected: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    objective: str = "mi",
) -> tuple[np.ndarray, np.ndarray]:
    """Order (int64) and gain (float64, nats) of `size` new picks by exact greedy; arguments as in `batch_greedy`.

    Each step takes the candidate with the greatest MI(S ∪ {clip}), the lowest index of equals. A step costs one pass
    over the candidates' scores and one over those that share a cluster with the pick.
    """
    problem = Problem.of(assignments, pairs, selected, weights)
    size = whole_number(size, "size", 0, problem.free, "clips that are not selected")
    order, gain = np.empty(size, np.int64), np.empty(size)
    if not size:
        return order, gain
    if objective != "mi":
        from winnow.selection.objectives import greedy_by

        return greedy_by(problem, objective, size, None, 1, 0)
    from winnow.selection import kernels

    turn = np.argsort(problem.pairs[:, 0], kind="stable")
    problem.pairs, problem.weights = problem.pairs[turn], problem.weights[turn]
    starts = np.searchsorted(problem.pairs[:, 0], np.arange(problem.rows.shape[1] + 1))
    about, state, sums = problem.arrays(len(problem.selected) + size)
    kernels.prime(problem.rows, problem.selected, about, state, sums)
    mask = np.ones(len(problem.rows), bool)
    mask[problem.selected] = False
    kernels.exact_rounds(
        problem.rows, np.flatnonzero(mask), len(problem.selected), about, state, sums, starts, order, gain
    )
    return order, gain
