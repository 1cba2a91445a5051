"""Selection by a mixture: clips whose two sides depend on each other, and clips whose two sides have nothing to do with
one another.

Why beside mutual information: of a corpus in which some kinds of clips correspond and others do not, the subset of
largest mutual information is not the corresponding one. Mutual information is largest when clusters are used evenly, so
greedy selection, the better it searches, fills the clusters of kinds that do not correspond with those of their pairs
that agree by accident. Searching longer makes that worse. What is wanted is which clips are better explained by
dependence than by independence, so that is maximised here.

Every pair of clusterings (i, j) is modelled by a joint table q for the selected and a product u · v for the rest, and a
clip x belongs to the selection by its responsibility r(x), with sum r = size. Maximised is the free energy

    mean over pairs of sum_x [ r ln q(i, j) + (1 - r) (ln u(i) + ln v(j)) ] + entropy(r)

by turns: tables from responsibilities (counts), responsibilities from tables (a logistic function of the mean log
ratio, its threshold such that they sum to size). Neither turn lowers it (Neal & Hinton, A view of the EM algorithm,
1998). With certain responsibilities it is size · mutual information of the selection, plus n · what either clustering
tells about being selected, plus a constant: it ends where the selection is dependent and the rest independent.

u and v begin as all clips' marginals with the weight of a few clips a cluster (`prior`): that a cluster is seldom found
in the rest is believed only from so many clips on. With an infinite prior (the default) a clip is never preferred for
the cluster of one side alone, only for both together.

What it costs: a pass over all clips and pairs a round, some 20 rounds; 1 M clips and 25 pairs take 5 s of processor
time and 100 MB. It looks at the corpus as a whole: a selection cannot be continued, and the first clips of an order
are not what a smaller size would choose.

When it is wrong. It takes the mismatched for independent and everything else for dependent. PRIOR was chosen on digits
(`winnow benchmark retrieval`), classes of one size of which half never correspond; on held-out digits, voices and words
it holds (precision 0.99 where greedy selection reaches 0.76 and an infinite prior 0.94). Where kinds differ in size and
mismatches strike all alike (held-out `kinds`, variant `samples`, 3,000 clips, 32 clusters), a finite prior tells
frequent kinds from rare ones instead of true pairs from false: 0.77, where greedy selection has 0.87 and an infinite
prior 0.86. So `winnow select` offers the infinite prior only. That one was above greedy selection by 0.02 to 0.2 on the
other variants of both held-out sets and on a world's clips; it falls behind where cells are as many as clips (1,000
clips, 32 clusters, `samples`: 0.76 against 0.81; with 10 clusters 0.81 against 0.77): give it some ten clips a cell.
Either prefers kinds that correspond more often, so rare kinds that seldom do are left out: of 32 equal kinds that
correspond in 20 to 80 %, a fifth of the clips is spread as over 27 kinds, where greedy selection has 31.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from winnow.core.errors import ConfigError
from winnow.selection.problem import checked_assignments, checked_indices, checked_pairs, checked_weights, whole_number

#: Clips a cluster that u and v may begin with, distributed as in the corpus: where whole kinds do not correspond.
PRIOR = 10.0
#: Pseudo-count that a table as a whole begins with, clips.
SMOOTHING = 0.5


def refine(
    assignments: ArrayLike,
    pairs: ArrayLike,
    size: int,
    *,
    weights: ArrayLike | None = None,
    start: ArrayLike | None = None,
    prior: float = math.inf,
    rounds: int = 60,
    tolerance: float = 1e-3,
) -> tuple[np.ndarray, np.ndarray]:
    """The clips that are best explained by dependence.

    assignments: int (n, layers), cluster of every clip in every clustering, from 0; pairs: (P, 2), columns of
    assignments that are compared, one of either modality: two clusterings of one modality depend on each other in every
    clip, so such pairs tell nothing and mislead; size: how many to select; weights: (P,), of the pairs, equal by
    default; start: row numbers of a selection to begin from (by default every clip is as likely as another);
    prior: clips a cluster that the rest begins with; rounds: at most so many; tolerance: stop when no
    responsibility moves further.

    Returns (order, gain): int64 (size,), row numbers, the best explained first, equal ones in row order; float64
    (size,), their mean log ratio, nats, which does not rise. Deterministic. ContractError for the assignments,
    ConfigError for the other arguments.
    """
    rows, clusters = checked_assignments(assignments)
    index = checked_pairs(pairs, rows.shape[1])
    weight = checked_weights(weights, len(index))
    weight = weight / weight.sum()
    n = len(rows)
    size = whole_number(size, "size", 0, n, "clips that there are")
    if not prior >= 0:
        raise ConfigError(f"prior {prior}: clips a cluster, from 0; infinite for the corpus' own marginals")
    if size == 0:
        return np.zeros(0, np.int64), np.zeros(0)
    share = np.full(n, size / n)
    if start is not None:
        share = np.full(n, 0.25 * size / n)
        share[checked_indices(start, n, "start")] = 0.75
    ratio = np.zeros(n)
    for _ in range(rounds):
        ratio, _ = log_ratio(rows, clusters, index, weight, share, prior)
        moved = responsibilities(ratio, size)
        change = np.abs(moved - share).max()
        share = moved
        if change <= tolerance:
            break
    order = np.argsort(-ratio, kind="stable")[:size]
    return order.astype(np.int64), ratio[order]


def log_ratio(
    rows: np.ndarray, clusters: int, pairs: np.ndarray, weights: np.ndarray, share: np.ndarray, prior: float = PRIOR
) -> tuple[np.ndarray, float]:
    """Mean log ratio of dependence to independence of every clip, with tables counted from responsibilities, and the
    (penalised) free energy of those tables and responsibilities.

    rows: unsigned (n, layers), clusters below `clusters`; weights: (P,), summing to 1; share: (n,), responsibilities in
    0 to 1. Returns float64 (n,), nats, and nats.
    """
    layers, cells = rows.shape[1], clusters**2
    alone: list[np.ndarray] = [np.zeros(0)] * layers
    energy = 0.0
    alone_weight = np.bincount(pairs.ravel(), np.repeat(weights, 2), minlength=layers)
    for d in np.unique(pairs):
        counts: np.ndarray = np.bincount(rows[:, d], 1 - share, minlength=clusters)
        corpus = np.bincount(rows[:, d], minlength=clusters) + SMOOTHING / clusters
        corpus = corpus / corpus.sum()
        if math.isfinite(prior):
            counts = counts + (prior * clusters + SMOOTHING) * corpus
            alone[d] = np.log(counts / counts.sum())
        else:
            alone[d] = np.log(corpus)
        energy += float(alone_weight[d] * (counts @ alone[d]))
    ratio = np.zeros(len(share))
    for (a, b), weight in zip(pairs, weights, strict=True):
        cell = rows[:, a].astype(np.int64) * clusters + rows[:, b]
        counts = np.bincount(cell, share, minlength=cells) + SMOOTHING / cells
        joint = np.log(counts / counts.sum())
        energy += float(weight * (counts @ joint))
        ratio += weight * (joint - (alone[a][:, None] + alone[b]).ravel())[cell]
    return ratio, energy + _entropy(share)


def responsibilities(ratio: np.ndarray, size: int) -> np.ndarray:
    """Logistic function of the log ratio less the one threshold with which it sums to size: float64 (n,)."""
    from scipy.special import expit

    low, high = float(ratio.min()) - 40, float(ratio.max()) + 40
    for _ in range(60):
        middle = (low + high) / 2
        if expit(ratio - middle).sum() > size:
            low = middle
        else:
            high = middle
    return expit(ratio - high)


def _entropy(share: np.ndarray) -> float:
    inner = share[(share > 0) & (share < 1)]
    return float(-(inner * np.log(inner) + (1 - inner) * np.log1p(-inner)).sum())
