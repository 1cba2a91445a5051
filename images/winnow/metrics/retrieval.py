"""Retrieval: does a sound find its own picture among many, and a picture its own sound (AVSET-10M's benchmark).

Rank is 1 and one more for each item of the gallery that is strictly nearer, and half of one for each that is as near: a
model that answers always the same has its partners in the middle, wherever a sort would put them. R@k is the share of
queries of rank k or better; MRR the mean of 1 / rank. **Instance**: the query's own partner is looked for. **Class**:
any item of the query's class, whose chance depends on how many there are. R@k falls as the gallery grows: no figure
means anything without it, and intervals are bootstrapped over groups (source videos), whose clips are no independent
witnesses.

Source: released code of AVSET-10M (its ranks are positions in a sort, and its best epoch is chosen on the test set).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from winnow.core.errors import ContractError

KS = (1, 5, 10)
#: Cosines that differ by less are a tie: identical vectors must tie, in whatever order a product is summed.
TIE = 1e-9
RESAMPLES, CONFIDENCE = 1_000, 0.95
#: Resamples that are weighed at a time: bounds memory, changes nothing.
_CHUNK = 100
#: Cosines that are held at a time.
_BLOCK = 1 << 24
WAYS = ("audio_to_visual", "visual_to_audio")


def ranks(queries: np.ndarray, gallery: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
    """Rank of each query's partner, (n,) float64. queries (n, d), gallery (m, d), of any length; own: the partner's
    row, (n,): the query's own row by default. ContractError for sizes that do not fit, a vector of zeros or NaN."""
    seen, heard = _unit(gallery, "gallery"), _unit(queries, "queries")
    own = np.arange(len(heard)) if own is None else np.asarray(own)
    _fit(heard, seen, own)
    found = np.empty(len(heard))
    for at, cosine in _blocks(heard, seen):
        rows = np.arange(len(cosine))
        true = cosine[rows, own[at : at + len(cosine)]][:, None]
        better, alike = (cosine > true + TIE).sum(1), (np.abs(cosine - true) <= TIE).sum(1)
        found[at : at + len(cosine)] = 1 + better + (alike - 1) / 2
    return found


def class_ranks(queries: np.ndarray, gallery: np.ndarray, labels: np.ndarray, gallery_labels: np.ndarray) -> np.ndarray:
    """Rank of the nearest item of each query's class, (n,) float64; NaN where the gallery has none, or the query no
    class (a label below 0). labels (n,), gallery_labels (m,): integers."""
    seen, heard = _unit(gallery, "gallery"), _unit(queries, "queries")
    if len(labels) != len(heard) or len(gallery_labels) != len(seen):
        raise ContractError(f"{len(labels)} and {len(gallery_labels)} labels of {len(heard)} and {len(seen)} vectors")
    found = np.full(len(heard), np.nan)
    for at, cosine in _blocks(heard, seen):
        own = labels[at : at + len(cosine), None]
        same = (own == gallery_labels[None]) & (own >= 0)
        has = same.any(1)
        best = np.where(same, cosine, -np.inf).max(1, initial=-np.inf, keepdims=True)
        better = ((cosine > best + TIE) & ~same).sum(1)
        near = np.abs(cosine - best) <= TIE
        # The first of m among m + t that are alike is, on average, behind t / (m + 1) of the others.
        behind = (near & ~same).sum(1) / ((near & same).sum(1) + 1)
        found[at : at + len(cosine)] = np.where(has, 1 + better + behind, np.nan)
    return found


def chance_of_class(labels: np.ndarray, gallery_labels: np.ndarray, k: int) -> float:
    """R@k by class of an answer without looking: mean over queries with a class of 1 − C(m − s, k) / C(m, k)."""
    size, each = len(gallery_labels), []
    for label in labels[labels >= 0]:
        same = int((gallery_labels == label).sum())
        if same:
            missed = np.prod([max(size - same - i, 0) / (size - i) for i in range(min(k, size))])
            each.append(1 - float(missed))
    return float(np.mean(each)) if each else float("nan")


def figures(found: np.ndarray, ks: Sequence[int] = KS) -> dict[str, float]:
    """R@k and MRR of ranks; those that are NaN are passed over."""
    there = found[~np.isnan(found)]
    if not len(there):
        return {}
    return {**{f"R@{k}": float((there <= k).mean()) for k in ks}, "MRR": float((1 / there).mean())}


def score(
    audio: np.ndarray,
    visual: np.ndarray,
    *,
    labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    ks: Sequence[int] = KS,
    seed: int = 0,
) -> dict[str, object]:
    """Both ways over row-aligned pairs, (n, d) each: {"gallery", "R@k", "MRR" (means of both ways), "chances",
    "intervals", by way, and "class" the same by labels (n,), where there are any}. groups: (n,), of the bootstrap; each
    clip its own without. ContractError for a gallery smaller than the largest k."""
    enough(len(audio), ks)
    both = dict(zip(WAYS, (ranks(audio, visual), ranks(visual, audio)), strict=True))
    group = np.arange(len(audio)) if groups is None else np.unique(groups, return_inverse=True)[1]
    said = _said(both, group, ks, seed)
    said |= {"gallery": len(audio), "groups": int(group.max()) + 1}
    said["chances"] = {f"R@{k}": k / len(audio) for k in ks}
    if labels is not None and (labels >= 0).any():
        by_class = dict(
            zip(
                WAYS,
                (class_ranks(audio, visual, labels, labels), class_ranks(visual, audio, labels, labels)),
                strict=True,
            )
        )
        found = _said(by_class, group, ks, seed)
        found |= {"clips": int((labels >= 0).sum()), "classes": len(np.unique(labels[labels >= 0]))}
        found["chances"] = {f"R@{k}": chance_of_class(labels, labels, k) for k in ks}
        said["class"] = found
    return said


def enough(gallery: int, ks: Sequence[int] = KS) -> None:
    """ContractError for a gallery in which the largest k finds everything."""
    if gallery < max(ks):
        raise ContractError(f"a gallery of {gallery} is smaller than the k of R@{max(ks)}: ask for smaller ones")


def _said(both: Mapping[str, np.ndarray], group: np.ndarray, ks: Sequence[int], seed: int) -> dict[str, object]:
    by_way = {way: figures(found, ks) for way, found in both.items()}
    names = list(by_way[WAYS[0]])
    mean = {name: float(np.mean([by_way[way][name] for way in WAYS])) for name in names}
    return {**mean, **by_way, "intervals": _intervals(both, group, ks, seed)}


def _intervals(both: Mapping[str, np.ndarray], group: np.ndarray, ks: Sequence[int], seed: int) -> dict[str, list]:
    """Percentile bootstrap over groups of the means of both ways."""
    found = np.stack(list(both.values()))
    there = ~np.isnan(found)
    filled = np.where(there, found, np.inf)
    each = {**{f"R@{k}": (filled <= k).sum(0) for k in ks}, "MRR": (1 / filled).sum(0)}
    count = int(group.max()) + 1
    weight = np.bincount(group, there.sum(0), count)
    sums = np.stack([np.bincount(group, values, count) for values in each.values()], 1)
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(RESAMPLES // _CHUNK):
        times = rng.multinomial(count, np.full(count, 1 / count), _CHUNK)
        drawn.append((times @ sums) / np.maximum(times @ weight, 1)[:, None])
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(drawn), [edge, 1 - edge], axis=0)
    return {name: [float(low[k]), float(high[k])] for k, name in enumerate(each)}


def _unit(vectors: np.ndarray, what: str) -> np.ndarray:
    wide = np.asarray(vectors, np.float64)
    if wide.ndim != 2 or not len(wide):
        raise ContractError(f"{what} are {wide.shape}: (clips, numbers) is wanted")
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    if not np.isfinite(length).all() or (length == 0).any():
        row = int(np.flatnonzero(~(np.isfinite(length) & (length > 0)))[0])
        raise ContractError(f"row {row} of the {what} is zero or not finite: it has no direction to compare")
    return wide / length


def _fit(heard: np.ndarray, seen: np.ndarray, own: np.ndarray) -> None:
    if heard.shape[1] != seen.shape[1]:
        raise ContractError(f"queries have {heard.shape[1]} numbers and the gallery {seen.shape[1]}: of one space?")
    if len(own) != len(heard) or own.min() < 0 or own.max() >= len(seen):
        raise ContractError(f"{len(heard)} queries and a gallery of {len(seen)}: each query needs its partner's row")


def _blocks(heard: np.ndarray, seen: np.ndarray):
    step = max(1, _BLOCK // max(len(seen), 1))
    for at in range(0, len(heard), step):
        yield at, heard[at : at + step] @ seen.T
