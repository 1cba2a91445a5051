"""A plain reference for greedy selection: every mutual information from scratch, straight from its definition.

Ties: scores within 1e-13 nats of the best are equal, and the lowest index is taken.
"""

from __future__ import annotations

import numpy as np

TIE = 1e-13


def clips(n: int, seed: int, layers: int = 3, clusters: int = 6) -> np.ndarray:
    """Noisy layers of two modalities; half of the clips agree."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(clusters, size=n)
    sound = np.where(rng.random(n) < 0.5, picture, rng.integers(clusters, size=n))
    base = np.stack([picture] * layers + [sound] * layers, axis=1)
    return np.where(rng.random(base.shape) < 0.3, rng.integers(clusters, size=base.shape), base)


def information(labels: np.ndarray, pairs: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean mutual information of these clips over pairs, straight from the definition."""
    values = []
    for i, j in pairs:
        joint = np.zeros((labels.max() + 1, labels.max() + 1))
        np.add.at(joint, (labels[:, i], labels[:, j]), 1)
        joint /= len(labels)
        outer = joint.sum(axis=1)[:, None] * joint.sum(axis=0)[None, :]
        values.append(np.sum(joint[joint > 0] * np.log(joint[joint > 0] / outer[joint > 0])))
    return float(np.average(values, weights=weights))


def many(labels: np.ndarray, pairs: np.ndarray, chosen: list[int], candidates: list[int], weights=None) -> np.ndarray:
    """`information` of `chosen` with each candidate, all at once."""
    weights = np.ones(len(pairs)) if weights is None else np.asarray(weights, float)
    clusters, n, out = labels.max() + 1, len(chosen) + 1, np.zeros(len(candidates))
    for weight, (i, j) in zip(weights / weights.sum(), pairs, strict=True):
        base = np.zeros((clusters, clusters))
        np.add.at(base, (labels[chosen, i], labels[chosen, j]), 1)
        joint = np.repeat(base[None], len(candidates), axis=0)
        joint[np.arange(len(candidates)), labels[candidates, i], labels[candidates, j]] += 1
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = joint / n * np.log(joint * n / (joint.sum(axis=2)[:, :, None] * joint.sum(axis=1)[:, None, :]))
        out += weight * np.where(joint > 0, terms, 0).sum(axis=(1, 2))
    return out


def best_of(scores: np.ndarray, candidates: list[int], take: int) -> list[int]:
    """The `take` best candidates; of equals the lowest index."""
    left, best = dict(zip(candidates, scores, strict=True)), []
    while len(best) < take:
        top = max(left.values())
        best.append(min(c for c, score in left.items() if score >= top - TIE))
        del left[best[-1]]
    return best


def plain_exact(labels, pairs, size, selected=(), weights=None) -> list[int]:
    """Exact greedy from the definition."""
    order: list[int] = []
    while len(order) < size:
        chosen = [*selected, *order]
        candidates = sorted(set(range(len(labels))) - set(chosen))
        order += best_of(many(labels, pairs, chosen, candidates, weights), candidates, 1)
    return order


def mix(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def plain_batch(labels, pairs, size, batch, take, seed, selected=(), weights=None) -> list[int]:
    """Batch greedy from its documented draws."""
    order: list[int] = []
    pool = list(range(len(labels)))
    while len(order) < size:
        chosen = [*selected, *order]
        left = [c for c in pool if c not in set(chosen)]
        wanted = batch if chosen or len(labels) <= batch else 1
        if len(left) <= wanted or 2 * len(left) < len(pool):
            pool = left
        drawn: list[int] = []
        if len(left) <= wanted:
            drawn = left
        draw = mix((seed + 0x9E3779B97F4A7C15 * (len(chosen) + 1)) % 2**64)
        while len(drawn) < min(wanted, len(left)):
            draw = (draw + 0x9E3779B97F4A7C15) % 2**64
            clip = pool[mix(draw) * len(pool) >> 64]
            if clip not in drawn and clip not in chosen:
                drawn.append(clip)
        scores = many(labels, pairs, chosen, drawn, weights)
        order += best_of(scores, drawn, min(take if chosen else 1, len(drawn), size - len(order)))
    return order
