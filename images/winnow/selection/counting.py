"""Compiled counting: contingency tables, expected mutual information, and every measure of S ∪ {clip} from sums.

The measures of one pair follow from n and, over cells and both marginals, Σ k ln k (for MI and entropies) and Σ k² (for
pairs of clips that are together); a clip changes one term of each.
"""

from __future__ import annotations

import math

import numpy as np

from winnow.selection.compiled import compiled

KINDS = ("mi", "ami", "nmi", "fowlkes_mallows", "rand", "adjusted_rand")


@compiled
def count(rows, indices, everything, pairs, clusters):
    """Contingency tables int64 (P, clusters, clusters) of the clips in `indices`, or of all."""
    out = np.zeros((len(pairs), clusters, clusters), np.int64)
    total = len(rows) if everything else len(indices)
    for k in range(total):
        row = rows[k] if everything else rows[indices[k]]
        for p in range(len(pairs)):
            out[p, row[pairs[p, 0]], row[pairs[p, 1]]] += 1
    return out


@compiled
def log_factorials(n):
    """ln k! for k = 0 … n."""
    out = np.zeros(n + 1)
    for k in range(2, n + 1):
        out[k] = out[k - 1] + math.log(k)
    return out


@compiled
def expected(a, b, n, factorial):
    """Expected MI (nats) of clusterings with these counts, both of total n; `factorial[k]` = ln k! to n.

    For each two marginals the hypergeometric chances are walked from the likeliest cell value outwards by their
    ratios, until they are below 1e-20.
    """
    total = 0.0
    for x in a:
        if x == 0:
            continue
        for y in b:
            if y == 0:
                continue
            low, high = max(0, x + y - n), min(x, y)
            shift = math.log(n) - math.log(x) - math.log(y)
            mode = min(max((x + 1) * (y + 1) // (n + 2), low), high)
            top = math.exp(
                factorial[x]
                + factorial[y]
                + factorial[n - x]
                + factorial[n - y]
                - factorial[n]
                - factorial[mode]
                - factorial[x - mode]
                - factorial[y - mode]
                - factorial[n - x - y + mode]
            )
            chance, k = top, mode
            while k <= high and chance > 1e-20:
                if k > 0:
                    total += chance * k / n * (math.log(k) + shift)
                chance *= (x - k) * (y - k) / ((k + 1.0) * (n - x - y + k + 1.0))
                k += 1
            chance, k = top, mode
            while k > max(low, 1) and chance > 1e-20:
                chance *= k * (n - x - y + k + 0.0) / ((x - k + 1.0) * (y - k + 1.0))
                k -= 1
                total += chance * k / n * (math.log(k) + shift)
    return total


@compiled
def xlogx(k):
    """k ln k, 0 at 0."""
    return k * math.log(k) if k > 0 else 0.0


@compiled
def measure(kind, n, logs, squares, a, b, factorial):
    """The measure of one pair; `logs`, `squares`: Σ k ln k and Σ k² of cells, first and second marginals."""
    if kind >= 3:
        both, first, second = (squares[0] - n) // 2, (squares[1] - n) // 2, (squares[2] - n) // 2
        every = n * (n - 1) // 2
        if kind == 3:
            return math.sqrt(both / first) * math.sqrt(both / second) if both > 0 else 0.0
        if kind == 4:
            return (every + 2 * both - first - second) / every if every > 0 else 1.0
        if both == first and both == second:
            return 1.0
        above = 2.0 * (float(both) * every - float(first) * second)
        return above / (float(first + second) * every - 2.0 * float(first) * second)
    mi = max(0.0, (logs[0] - logs[1] - logs[2]) / n + math.log(n))
    if kind == 0:
        return mi
    one = squares[1] == n * n and squares[2] == n * n
    mean = math.log(n) - (logs[1] + logs[2]) / n / 2
    if kind == 2:
        return 1.0 if one else mi / mean
    if one or (squares[1] == n and squares[2] == n):
        return 1.0
    chance = expected(a, b, n, factorial)
    spread = mean - chance
    tiny = 2.220446049250313e-16
    return (mi - chance) / (min(spread, -tiny) if spread < 0 else max(spread, tiny))


@compiled
def add(row, pairs, cells, margins, logs, squares):
    """Count a clip in every pair."""
    for p in range(len(pairs)):
        x, y = row[pairs[p, 0]], row[pairs[p, 1]]
        counts = (cells[p, x, y], margins[p, 0, x], margins[p, 1, y])
        for s in range(3):
            logs[p, s] += xlogx(counts[s] + 1) - xlogx(counts[s])
            squares[p, s] += 2 * counts[s] + 1
        cells[p, x, y] += 1
        margins[p, 0, x] += 1
        margins[p, 1, y] += 1


@compiled
def walk(rows, order, pairs, weights, clusters):
    """What each clip of `order` adds to the weighted mean MI of those before it, nats, float64."""
    cells = np.zeros((len(pairs), clusters, clusters), np.int64)
    margins = np.zeros((len(pairs), 2, clusters), np.int64)
    logs, squares = np.zeros((len(pairs), 3)), np.zeros((len(pairs), 3), np.int64)
    out, before, total = np.empty(len(order)), 0.0, weights.sum()
    for k in range(len(order)):
        add(rows[order[k]], pairs, cells, margins, logs, squares)
        value = 0.0
        for p in range(len(pairs)):
            mi = (logs[p, 0] - logs[p, 1] - logs[p, 2]) / (k + 1) + math.log(k + 1)
            value += weights[p] * max(0.0, mi)
        out[k] = value / total - before
        before = value / total
    return out


@compiled
def means(kind, rows, candidates, pairs, weights, n, cells, margins, logs, squares, factorial):
    """Weighted mean over pairs of the measure of S ∪ {clip} for every candidate."""
    out = np.zeros(len(candidates))
    clusters = cells.shape[1]
    known = np.empty((clusters, clusters))
    log, square = np.empty(3), np.empty(3, np.int64)
    for p in range(len(pairs)):
        known[:] = np.nan
        for k in range(len(candidates)):
            x, y = rows[candidates[k], pairs[p, 0]], rows[candidates[k], pairs[p, 1]]
            if np.isnan(known[x, y]):
                counts = (cells[p, x, y], margins[p, 0, x], margins[p, 1, y])
                for s in range(3):
                    log[s] = logs[p, s] + xlogx(counts[s] + 1) - xlogx(counts[s])
                    square[s] = squares[p, s] + 2 * counts[s] + 1
                margins[p, 0, x] += 1
                margins[p, 1, y] += 1
                known[x, y] = measure(kind, n + 1, log, square, margins[p, 0], margins[p, 1], factorial)
                margins[p, 0, x] -= 1
                margins[p, 1, y] -= 1
            out[k] += weights[p] * known[x, y]
    return out / weights.sum()


class Tables:
    """Counts and sums of a growing set of clips."""

    def __init__(self, rows: np.ndarray, pairs: np.ndarray, weights: np.ndarray, clusters: int, largest: int) -> None:
        self.rows, self.pairs, self.weights, self.n = rows, pairs, weights, 0
        self.cells = np.zeros((len(pairs), clusters, clusters), np.int64)
        self.margins = np.zeros((len(pairs), 2, clusters), np.int64)
        self.logs, self.squares = np.zeros((len(pairs), 3)), np.zeros((len(pairs), 3), np.int64)
        self.factorial = log_factorials(largest + 1)

    def add(self, clip: int) -> None:
        """Count a clip."""
        add(self.rows[clip], self.pairs, self.cells, self.margins, self.logs, self.squares)
        self.n += 1

    def value(self, objective: str) -> float:
        """Weighted mean of the measure over pairs; 0 of no clips."""
        if not self.n:
            return 0.0
        kind = KINDS.index(objective)
        values = [
            measure(kind, self.n, self.logs[p], self.squares[p], self.margins[p, 0], self.margins[p, 1], self.factorial)
            for p in range(len(self.pairs))
        ]
        return float(np.dot(values, self.weights) / self.weights.sum())

    def scores(self, candidates: np.ndarray, objective: str) -> np.ndarray:
        """Weighted mean of the measure of S ∪ {clip} for each candidate, float64."""
        return means(
            KINDS.index(objective),
            self.rows,
            candidates,
            self.pairs,
            self.weights,
            self.n,
            self.cells,
            self.margins,
            self.logs,
            self.squares,
            self.factorial,
        )
