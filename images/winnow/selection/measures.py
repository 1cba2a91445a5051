"""Measures of agreement of two clusterings, from their contingency table, and the MI of a set of clips.

Each takes an integer table (rows: clusters of one, columns: of the other) and returns a float. All are the usual
definitions and agree with scikit-learn to 1e-9; ACAV100M's released code has two that differ (an approximate expected
MI inside its AMI, and twice the usual NMI), which are not reproduced.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from winnow.core.errors import ConfigError
from winnow.selection.problem import check_cells, checked_assignments, checked_indices, checked_pairs, checked_weights


def contingency(assignments: ArrayLike, pairs: ArrayLike, subset: ArrayLike | None = None) -> np.ndarray:
    """Counts of clips by cluster, int64 (P, clusters, clusters), of a subset (indices or mask) or of all; ids with gaps
    may be numbered anew (`checked_assignments`)."""
    from winnow.selection.counting import count

    rows, clusters = checked_assignments(assignments)
    chosen = checked_pairs(pairs, rows.shape[1])
    indices = checked_indices(subset, len(rows), "subset")
    check_cells(len(chosen), clusters)
    return count(rows, indices, subset is None, chosen, clusters)


def mutual_information(
    assignments: ArrayLike, pairs: ArrayLike, subset: ArrayLike | None = None, *, weights: ArrayLike | None = None
) -> float:
    """Mean mutual information over pairs of columns, nats; weighted where `weights` (P,) are given; 0 of no clips."""
    tables = contingency(assignments, pairs, subset)
    weight = checked_weights(weights, len(tables))
    return float(np.dot(weight, [mi(table) for table in tables]) / weight.sum())


def gains(
    assignments: ArrayLike, pairs: ArrayLike, order: ArrayLike, *, weights: ArrayLike | None = None
) -> np.ndarray:
    """What each clip of an order adds to the mean mutual information of those before it, float64 (len(order),), nats:
    they add up to that of all. Raises as `mutual_information` does, and for a clip that comes twice."""
    from winnow.selection.counting import walk

    rows, clusters = checked_assignments(assignments)
    chosen = checked_pairs(pairs, rows.shape[1])
    check_cells(len(chosen), clusters)
    weight = checked_weights(weights, len(chosen))
    return walk(rows, checked_indices(order, len(rows), "order"), chosen, weight, clusters)


def entropy(counts: np.ndarray) -> float:
    """Entropy of counts, nats."""
    counts = np.asarray(counts, np.float64)
    counts = counts[counts > 0]
    n = counts.sum()
    return float(max(0.0, -np.sum(counts / n * np.log(counts / n)))) if n else 0.0


def mi(table: np.ndarray) -> float:
    """Mutual information, nats; 0 of an empty table."""
    table = np.asarray(table, np.float64)
    n = table.sum()
    if not n:
        return 0.0
    a, b = table.sum(axis=1), table.sum(axis=0)
    i, j = np.nonzero(table)
    cell = table[i, j]
    return float(max(0.0, np.sum(cell / n * (np.log(cell) + np.log(n) - np.log(a[i]) - np.log(b[j])))))


def nmi(table: np.ndarray) -> float:
    """MI over the mean of both entropies; 1 where both have one cluster."""
    table = np.asarray(table)
    a, b = table.sum(axis=1), table.sum(axis=0)
    if (a > 0).sum() <= 1 and (b > 0).sum() <= 1:
        return 1.0
    value = mi(table)
    return value / ((entropy(a) + entropy(b)) / 2) if value else 0.0


def expected_mi(a: np.ndarray, b: np.ndarray) -> float:
    """Expected MI of two clusterings with marginals a and b under the hypergeometric model, nats.

    Vinh, Epps and Bailey 2010 (JMLR 11), equation 24a: the sum over all cell values that the marginals allow.
    """
    from winnow.selection.counting import expected, log_factorials

    a, b = (np.asarray(m, np.int64) for m in (a, b))
    n = int(a.sum())
    return float(expected(a, b, n, log_factorials(n))) if n else 0.0


def ami(table: np.ndarray) -> float:
    """Adjusted MI, with the mean of both entropies as its upper bound (scikit-learn's `arithmetic`)."""
    table = np.asarray(table)
    a, b = table.sum(axis=1), table.sum(axis=0)
    left, right = (a > 0).sum(), (b > 0).sum()
    if left == right and (left <= 1 or left == table.sum()):
        return 1.0
    chance = expected_mi(a, b)
    spread = (entropy(a) + entropy(b)) / 2 - chance
    tiny = np.finfo(np.float64).eps
    spread = min(spread, -tiny) if spread < 0 else max(spread, tiny)
    return (mi(table) - chance) / spread


def pair_counts(table: np.ndarray) -> tuple[int, int, int, int]:
    """Pairs of clips: together in both, in the first, in the second, and all; exact integers."""
    table = np.asarray(table)

    def choose(counts: np.ndarray) -> int:
        return sum(int(k) * (int(k) - 1) // 2 for k in counts.ravel())

    n = int(table.sum())
    return choose(table), choose(table.sum(axis=1)), choose(table.sum(axis=0)), n * (n - 1) // 2


def fowlkes_mallows(table: np.ndarray) -> float:
    """Geometric mean of pairwise precision and recall; 0 where no pair is together in both."""
    both, first, second, _ = pair_counts(table)
    return float(np.sqrt(both / first) * np.sqrt(both / second)) if both else 0.0


def rand(table: np.ndarray) -> float:
    """Share of pairs of clips on which both agree; 1 of fewer than two clips."""
    both, first, second, every = pair_counts(table)
    return (every + 2 * both - first - second) / every if every else 1.0


def adjusted_rand(table: np.ndarray) -> float:
    """Rand index adjusted for chance (Hubert and Arabie 1985); 1 where both put every pair alike."""
    both, first, second, every = pair_counts(table)
    if both == first == second:
        return 1.0
    return 2 * (both * every - first * second) / ((first + second) * every - 2 * first * second)


#: Measures by the name that `objective` takes.
OBJECTIVES = {
    "mi": mi,
    "ami": ami,
    "nmi": nmi,
    "fowlkes_mallows": fowlkes_mallows,
    "rand": rand,
    "adjusted_rand": adjusted_rand,
}


def objective_named(name: str):
    """The measure of that name, or `ConfigError`."""
    if name not in OBJECTIVES:
        raise ConfigError(f"objective {name!r}: not one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]
