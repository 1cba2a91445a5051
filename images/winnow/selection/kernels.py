"""Compiled inner loops of greedy selection by mutual information, in exact integer arithmetic.

For one pair of clusterings with counts N_ij of the selected set, marginals a_i, b_j and total n, with f(k) = k ln k,

    MI = (Σ f(N_ij) − Σ f(a_i) − Σ f(b_j)) / n + ln n          (nats).

Adding a clip raises one cell and two marginals by one. With g(k) = f(k + 1) − f(k) its *score*

    Σ_pairs w g(N_cell) − Σ_layers W g(marginal),               W = sum of the weights of the layer's pairs

orders candidates as MI(S ∪ {clip}) does. g is held as an integer, g · 2^bits rounded, so that a score does not depend
on the order of its terms and can be updated for ever without drift. For k below SMALL the logarithms of *primes* are
rounded and all others are sums of them: two candidates whose exact scores are equal have equal integer scores, for
any terms that make them up. What remains, scores that differ by less than about 1e-10, is decided by the table.

`steps[pair, cell]` and `layer_steps[layer, cluster]` hold g of the present counts: a score is one lookup per pair and
one per layer.
"""

from __future__ import annotations

import math

import numpy as np

from winnow.selection.compiled import compiled, prefetch

#: Counts below SMALL have logarithms made of those of primes; about TABLED values of g are tabled, of small counts.
SMALL, TABLED = 4096, 1 << 21
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
REMOVED = 1 << 62


@compiled
def mix(x):
    """splitmix64's finaliser: uint64 → uint64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled
def below(x, bound):
    """The upper 64 bits of x · bound, for bound < 2^32: a position in 0 … bound − 1."""
    low = ((x & np.uint64(0xFFFFFFFF)) * bound) >> np.uint64(32)
    return ((x >> np.uint64(32)) * bound + low) >> np.uint64(32)


@compiled
def step(k):
    """g(k) = f(k + 1) − f(k) for k ≥ 1, without the cancellation."""
    return math.log(k + 1.0) + k * math.log1p(1.0 / k)


@compiled
def rounded(x):
    """The whole number next to x, int64."""
    return np.int64(np.rint(x))


@compiled
def step_table(length, bits):
    """g(k) · 2^bits for k = 0 … length − 1, int64."""
    unit = 2.0**bits
    out = np.zeros(length, np.int64)
    small = min(length, SMALL)
    log = np.zeros(small + 2, np.int64)
    for p in range(2, small + 2):
        if log[p] == 0:  # prime
            value = rounded(math.log(p) * unit)
            power = p
            while power < small + 2:
                for multiple in range(power, small + 2, power):
                    log[multiple] += value
                power *= p
    for k in range(1, small):
        out[k] = (k + 1) * log[k + 1] - k * log[k]  # products may wrap, the difference is right
    for k in range(small, length):
        out[k] = rounded(step(k) * unit)
    return out


@compiled
def add(low, high, first, second, kinds, layer_kinds, table, cells, steps, marginals, layer_steps):
    """Count one clip of cluster ids `low`, `high` = ids · clusters; returns its score before.

    `table[kind]` holds g times the weight of that kind: of a pair (`kinds`) or of a layer (`layer_kinds`). Where a
    count lies behind the table's end, which the second value returned says, `add_far` must follow.
    """
    score, last, most = np.int64(0), np.uint64(table.shape[1] - 1), np.uint64(0)
    for p in range(len(first)):
        cell = high[first[p]] + low[second[p]]
        score += steps[p, cell]
        count = np.uint64(cells[p, cell]) + np.uint64(1)
        cells[p, cell] = count
        steps[p, cell] = table[kinds[p], min(count, last)]
    for layer in range(len(layer_kinds)):
        c = low[layer]
        score -= layer_steps[layer, c]
        count = np.uint64(marginals[layer, c]) + np.uint64(1)
        marginals[layer, c] = count
        most = max(most, count)
        layer_steps[layer, c] = table[layer_kinds[layer], min(count, last)]
    return score, most > last


@compiled
def add_far(low, high, problem, state):
    """After `add`: steps for counts behind the table's end. Apart from `add`, which is inlined only while small."""
    first, second, kinds, layer_kinds, whole, weights, table, bits, _ = problem
    cells, steps, marginals, layer_steps = state
    last = table.shape[1] - 1
    for p in range(len(first)):
        cell = high[first[p]] + low[second[p]]
        if np.int64(cells[p, cell]) > last:
            value, kind = rounded(step(np.int64(cells[p, cell])) * 2.0**bits), kinds[p]
            steps[p, cell] = whole[kind] * value if whole[kind] >= 0 else rounded(weights[kind] * value)
    for layer in range(len(layer_kinds)):
        c = low[layer]
        if np.int64(marginals[layer, c]) > last:
            value, kind = rounded(step(np.int64(marginals[layer, c])) * 2.0**bits), layer_kinds[layer]
            layer_steps[layer, c] = whole[kind] * value if whole[kind] >= 0 else rounded(weights[kind] * value)


@compiled
def scores_of(low, high, count, first, second, steps, layer_steps, scores):
    """Scores of `count` clips, whose ids lie in the columns of `low` and `high`. All clips pair by pair: their lookups
    do not wait for each other, and a pair's table stays near."""
    scores[:count] = 0
    for p in range(len(first)):
        x, y, step = high[np.uint64(first[p])], low[np.uint64(second[p])], steps[p]
        for b in range(np.uint64(count)):
            scores[b] += step[x[b] + y[b]]
    for layer in range(len(low)):
        y, step = low[layer], layer_steps[layer]
        for b in range(np.uint64(count)):
            scores[b] -= step[y[b]]


@compiled
def gain_of(score, n, sums, unit):
    """Change of the mean MI by a clip of this score as the (n + 1)th, in nats; keeps the exact sum of scores.

    `sums` = [high, low]: the sum of all scores so far is high · 2^32 + low. `unit` = total weight · 2^bits.
    """
    gain = 0.0
    if n > 0:
        mean = (sums[0] * 4294967296.0 + sums[1]) / n
        gain = (score - mean) / unit / (n + 1) + math.log1p(1.0 / n)
    low = sums[1] + (score & np.int64(0xFFFFFFFF))
    sums[0] += (score >> np.int64(32)) + (low >> np.int64(32))
    sums[1] = low & np.int64(0xFFFFFFFF)
    return gain


@compiled
def prime(rows, selected, problem, state, sums):
    """Count the clips that are selected already."""
    first, second, kinds, layer_kinds, _, _, table, _, unit = problem
    cells, steps, marginals, layer_steps = state
    low, high = np.empty((2, rows.shape[1]), np.uint64)
    clusters = np.uint64(marginals.shape[1])
    for n in range(len(selected)):
        for layer in range(rows.shape[1]):
            low[layer] = rows[selected[n], layer]
            high[layer] = low[layer] * clusters
        score, far = add(low, high, first, second, kinds, layer_kinds, table, cells, steps, marginals, layer_steps)
        if far:
            add_far(low, high, problem, state)
        gain_of(score, n, sums, unit)


@compiled
def remaining(taken, pool, whole, length, out):
    """Write the entries of the pool that are not taken, in their order; `whole`: the pool is 0 … length − 1."""
    at = 0
    for k in range(length):
        c = np.int64(k) if whole else np.int64(pool[k])
        if not (taken[c >> 3] >> np.uint8(c & 7)) & 1:
            out[at] = c
            at += 1
    return at


@compiled
def batch_rounds(rows, taken, free, n, problem, state, sums, batch, take, seed, order, gain):
    """Rounds of batch greedy until `order` is full; `taken` is a bitmap of clips, `free` how many are not in it."""
    first, second, kinds, layer_kinds, _, _, table, _, unit = problem
    cells, steps, marginals, layer_steps = state
    layers, size, clusters = rows.shape[1], len(order), np.uint64(marginals.shape[1])
    whole, length = True, len(rows)
    pool = np.empty(0, np.uint32)
    drawn, scores = np.empty(batch, np.int64), np.empty(batch, np.int64)
    low, high = np.empty((layers, batch), np.uint64), np.empty((layers, batch), np.uint64)
    best, done = np.empty(take, np.int64), 0
    while done < size:
        wanted = batch if n > 0 or free <= batch else 1
        if free <= wanted or 2 * free < length:
            fresh = np.empty(free, np.uint32)
            remaining(taken, pool, whole, length, fresh)
            pool, length, whole = fresh, free, False
        if free <= wanted:
            wanted = free
            for b in range(wanted):
                drawn[b] = pool[b]
        else:
            key = mix(seed + GOLDEN * np.uint64(n + 1))
            b = 0
            while b < wanted:
                key += GOLDEN
                at = below(mix(key), np.uint64(length))
                c = at if whole else np.uint64(pool[at])
                bit = np.uint8(1) << np.uint8(c & np.uint64(7))
                if not taken[c >> np.uint64(3)] & bit:
                    taken[c >> np.uint64(3)] |= bit
                    drawn[b] = c
                    b += 1
        # What the next round draws is asked of the memory now, and is at hand when it is wanted.
        key = mix(seed + GOLDEN * np.uint64(n + take + 1))
        for _ in range(batch + batch // 4):
            key += GOLDEN
            at = below(mix(key), np.uint64(length))
            c = at if whole else np.uint64(pool[at])
            prefetch(rows, c)
            prefetch(taken, c >> np.uint64(3))
        for b in range(wanted):
            row = rows[np.uint64(drawn[b])]
            for layer in range(layers):
                c = np.uint64(row[layer])
                low[layer, b] = c
                high[layer, b] = c * clusters
        scores_of(low, high, wanted, first, second, steps, layer_steps, scores)
        keep, kept = min(take if n > 0 else 1, wanted, size - done), 0
        for b in range(wanted):
            if kept == keep:
                last = best[kept - 1]
                if scores[b] < scores[last] or (scores[b] == scores[last] and drawn[b] > drawn[last]):
                    continue
                kept -= 1
            k = kept
            while k > 0 and (
                scores[best[k - 1]] < scores[b] or (scores[best[k - 1]] == scores[b] and drawn[best[k - 1]] > drawn[b])
            ):
                best[k] = best[k - 1]
                k -= 1
            best[k] = b
            kept += 1
        for b in range(wanted):
            taken[drawn[b] >> 3] &= np.uint8(~(1 << (drawn[b] & 7)))
        for k in range(kept):
            b = best[k]
            c = drawn[b]
            taken[c >> 3] |= np.uint8(1 << (c & 7))
            order[done] = c
            x, y = low[:, b], high[:, b]
            score, far = add(x, y, first, second, kinds, layer_kinds, table, cells, steps, marginals, layer_steps)
            if far:
                add_far(x, y, problem, state)
            gain[done] = gain_of(score, n, sums, unit)
            done += 1
            n += 1
        free -= kept


@compiled
def exact_rounds(rows, free, n, problem, state, sums, starts, order, gain):
    """Exact greedy: every step takes the candidate of the greatest score, the lowest index of equals.

    `free` lists the candidates' indices, ascending. A step changes the scores of those candidates only that share a
    cluster with the clip it took: they are found through lists of each layer's clusters and corrected. Pairs are
    sorted by their first column: those of layer l are `starts[l]` … `starts[l + 1]` − 1.
    """
    first, second, kinds, layer_kinds, _, _, table, _, unit = problem
    cells, steps, marginals, layer_steps = state
    layers, pairs, count, clusters = rows.shape[1], len(first), len(free), marginals.shape[1]
    wide = np.uint64(clusters)
    local = np.empty((count, layers), rows.dtype)
    scores = np.empty(count, np.int64)
    low, high = np.empty((layers, 1), np.uint64), np.empty((layers, 1), np.uint64)
    for k in range(count):
        for layer in range(layers):
            local[k, layer] = rows[free[k], layer]
            low[layer, 0] = local[k, layer]
            high[layer, 0] = low[layer, 0] * wide
        scores_of(low, high, 1, first, second, steps, layer_steps, scores[k:])
    begins = np.zeros((layers, clusters + 1), np.int64)
    members = np.empty((layers, count), np.uint32)
    for layer in range(layers):
        for k in range(count):
            begins[layer, np.int64(local[k, layer]) + 1] += 1
        for c in range(clusters):
            begins[layer, c + 1] += begins[layer, c]
        at = begins[layer, :clusters].copy()
        for k in range(count):
            c = local[k, layer]
            members[layer, at[c]] = k
            at[c] += 1
    change, layer_change, theirs = np.empty(pairs, np.int64), np.empty(layers, np.int64), np.empty(pairs, rows.dtype)
    for done in range(len(order)):
        top, where = -REMOVED, np.int64(0)
        for start in range(0, count, 1024):
            peak = scores[start]
            for k in range(start, min(start + 1024, count)):
                peak = max(peak, scores[k])
            if peak > top:
                top, where = peak, start
        while scores[where] != top:
            where += 1
        for layer in range(layers):
            low[layer, 0] = local[where, layer]
            high[layer, 0] = low[layer, 0] * wide
            layer_change[layer] = -layer_steps[layer, low[layer, 0]]
        for p in range(pairs):
            theirs[p] = low[second[p], 0]
            change[p] = -steps[p, high[first[p], 0] + theirs[p]]
        order[done] = free[where]
        x, y = low[:, 0], high[:, 0]
        score, far = add(x, y, first, second, kinds, layer_kinds, table, cells, steps, marginals, layer_steps)
        if far:
            add_far(x, y, problem, state)
        gain[done] = gain_of(score, n, sums, unit)
        n += 1
        for layer in range(layers):
            layer_change[layer] += layer_steps[layer, low[layer, 0]]
        for p in range(pairs):
            change[p] += steps[p, high[first[p], 0] + theirs[p]]
        scores[where] -= REMOVED
        for layer in range(layers):
            c, begin, end = low[layer, 0], starts[layer], starts[layer + 1]
            for m in range(begins[layer, c], begins[layer, c + np.uint64(1)]):
                k = np.uint64(members[layer, m])
                delta = -layer_change[layer]
                for p in range(begin, end):
                    delta += change[p] * (local[k, second[p]] == theirs[p])
                scores[k] += delta
