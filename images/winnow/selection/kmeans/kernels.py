"""Compiled inner loops of k-means. What they return depends neither on threads, nor on how rows are cut into blocks,
nor on the linear algebra library.

Two things make that so. Values are rounded to a grid (multiples of a power of two, `prepare`), so that sums of them in
float64 are exact and need no order. And the nearest centre is settled beyond rounding: a product in float32 gives
all distances and a bound of their error; where more than one centre lies within the bound, those are compared anew in
float64, term by term (`settle`).
"""

from __future__ import annotations

import numpy as np

from winnow.selection.compiled import compiled

#: Values of a sample, wild ones apart, fill so many bits of the grid; the sum of 2^33 of them is exact in float64.
GRID_BITS = 20
#: Values are cut at so many grid steps: four times the largest of those.
GRID_LIMIT = 1 << (GRID_BITS + 2)


@compiled
def prepare(x, centre, factor, step, out):
    """(x − centre) · factor in whole grid steps, times the step: float32 (n, d) into `out`; values of rows that are not
    finite become 0."""
    half = np.float32(1.5 * 2**23)
    limit = np.float32(GRID_LIMIT)
    up = np.float32(1.0) / step
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            v = ((x[i, j] - centre[j]) * factor[j]) * up
            v = limit if v > limit else v
            v = v if v > -limit else -limit  # also what is not a number
            out[i, j] = ((v + half) - half) * step


@compiled
def column_sums(x, out):
    """Add the rows of x, float32 (n, d), to float64 (d,), one after the other."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[j] += np.float64(x[i, j])


@compiled
def column_squares(x, mean, out):
    """Add the squared distances of the rows of x, float32 (n, d), to their mean, float64 (d,), one after the other."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            gap = np.float64(x[i, j]) - mean[j]
            out[j] += gap * gap


@compiled
def largest(x, centre, factor):
    """The largest |(x − centre) · factor|, float32; 0 of no rows."""
    most = np.zeros(x.shape[1], np.float32)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            value = np.abs((x[i, j] - centre[j]) * factor[j])
            most[j] = value if value > most[j] else most[j]
    return most.max() if len(most) else np.float32(0)


@compiled
def settle(cross, keys, square, x, centres, error, labels):
    """Nearest centre of each row into `labels`; how many rows needed float64.

    cross: float32 (n, k), x · (−2 c), overwritten; keys: its bits as int32; square: float32 (k,), |c|²; error: float32
    (n,), twice the bound of a value's error; centres: float32 (k, d). The lowest number of equals wins.
    """
    n, k = cross.shape
    doubtful = 0
    for i in range(n):
        least = np.int32(0x7FFFFFFF)
        for j in range(k):
            cross[i, j] = cross[i, j] + square[j]
        for j in range(k):  # a float's bits, its lower 31 inverted where negative, order as the float does
            bits = keys[i, j]
            bits ^= (bits >> np.int32(31)) & np.int32(0x7FFFFFFF)
            least = bits if bits < least else least
        least ^= (least >> np.int32(31)) & np.int32(0x7FFFFFFF)
        for j in range(k):
            if keys[i, j] == least:
                limit = cross[i, j] + error[i]
                break
        found, total = np.int32(0), np.int32(0)
        for j in range(k):
            near = np.int32(cross[i, j] <= limit)
            found += near
            total += near * np.int32(j)
        if found == 1:
            labels[i] = total
            continue
        doubtful += 1
        nearest, best = np.inf, 0
        for j in range(k):
            if cross[i, j] <= limit:
                value = 0.0
                for c in range(x.shape[1]):
                    gap = np.float64(x[i, c]) - np.float64(centres[j, c])
                    value += gap * gap
                if value < nearest:
                    nearest, best = value, j
        labels[i] = best
    return doubtful


@compiled
def among_near(x, order, starts, near, centres, square, first, stride, labels, sums, counts):
    """One iteration in which a row may move only to a centre near its own: new labels, and their sums and counts.

    order: rows by label, those of cluster j at starts[j] … starts[j + 1]; near: int32 (k, m), each centre's nearest
    ones, itself among them, ascending; first, stride: which clusters. No operation depends on another order.
    """
    k, m = near.shape
    d = x.shape[1]
    columns = np.empty((d, m), np.float32)
    value = np.empty(m, np.float32)
    for j in range(first, k, stride):
        if starts[j] == starts[j + 1]:
            continue
        for c in range(m):
            for i in range(d):
                columns[i, c] = np.float32(-2.0) * centres[near[j, c], i]
        for at in range(starts[j], starts[j + 1]):
            row = order[at]
            for c in range(m):
                value[c] = square[near[j, c]]
            for i in range(0, d - 3, 4):
                v0, v1, v2, v3 = x[row, i], x[row, i + 1], x[row, i + 2], x[row, i + 3]
                for c in range(m):
                    value[c] = (
                        value[c]
                        + v0 * columns[i, c]
                        + v1 * columns[i + 1, c]
                        + v2 * columns[i + 2, c]
                        + v3 * columns[i + 3, c]
                    )
            for i in range(d - d % 4, d):
                for c in range(m):
                    value[c] += x[row, i] * columns[i, c]
            best = 0
            for c in range(1, m):
                if value[c] < value[best]:
                    best = c
            label = near[j, best]
            labels[row] = label
            counts[label] += 1
            for i in range(d):
                sums[label, i] += np.float64(x[row, i])


@compiled
def add_up(x, labels, sums, counts):
    """Add rows to the sums (float64, (k, d)) and counts (int64, (k,)) of their clusters; exact."""
    for i in range(x.shape[0]):
        j = labels[i]
        counts[j] += 1
        for c in range(x.shape[1]):
            sums[j, c] += np.float64(x[i, c])


@compiled
def squares(x, step):
    """Sum of squares of all values in squared grid steps, int64, exact."""
    total = np.int64(0)
    up = np.float32(1.0) / step
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            q = np.int64(np.int32(x[i, j] * up))
            total += q * q
    return total


@compiled
def distances(x, labels, centres, out):
    """Squared distance of each row to its centre, float64 (n,), term by term."""
    for i in range(x.shape[0]):
        value = 0.0
        for c in range(x.shape[1]):
            gap = np.float64(x[i, c]) - np.float64(centres[labels[i], c])
            value += gap * gap
        out[i] = value


@compiled
def keys_of(ids, seed):
    """A pseudo-random number of each id, uint64: splitmix64's finaliser, twice."""
    out = np.empty(len(ids), np.uint64)
    for i in range(len(ids)):
        x = ids[i] ^ seed
        for _ in range(2):
            x += np.uint64(0x9E3779B97F4A7C15)
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            x = x ^ (x >> np.uint64(31))
        out[i] = x
    return out
