"""Pairs of a picture and a sound, of three kinds (AVSET-10M, stage 2, as its reviewers quote the paper):

- corresponding: a clip's own;
- random: picture and sound of any two clips, whatever they show;
- non_corresponding: of two videos, none a copy of the other, whose labels have nothing in common: none of one names or
  lies under (`classes`) what one of the other does; where clips have no labels, of two such videos.

In a small corpus two videos often show the same thing, so pairs shuffled across videos are not all wrong; labels keep
such pairs out. Where a scorer has folds, both clips of a pair are of one fold, whose model saw neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from winnow.fitting.calibration.classes import lineage

#: Kinds of pairs, and how many of each at most: the sizes of AVSET-10M's samples from VGGSound.
KINDS: Mapping[str, int] = {"corresponding": 7_500, "random": 7_500, "non_corresponding": 70_000}
#: Fewer pairs of a kind than this have no distribution worth a fit.
LEAST = 20
#: All pairs of a fold are looked at where there are no more of them; from a larger one pairs are drawn and checked.
ENUMERATED = 200_000


@dataclass(frozen=True)
class Pairs:
    """Places of the clip seen and of the clip heard, int64 (n, 2), by kind; basis: labels or videos."""

    of: Mapping[str, np.ndarray]
    basis: str


def draw(
    group: np.ndarray,
    fold: np.ndarray,
    labels: Sequence[frozenset[str]],
    *,
    basis: str = "auto",
    sizes: Mapping[str, int] = KINDS,
    seed: Sequence[int] = (0,),
) -> Pairs:
    """Draw pairs of clips without repetition; each fold gives its share of each kind.

    group: (n,) of videos that are copies of each other, or of one alone; fold: (n,) int; labels: n sets of classes
    (`classes.named`), empty where nobody labelled the clip; basis: of the non-corresponding pairs, `labels`, `videos`,
    or `auto`: labels where at least half of the clips have some and enough pairs share none. Kinds that have fewer than
    LEAST pairs come out shorter than that, never padded.
    """
    labelled = np.array([bool(of) for of in labels], bool)
    above = [frozenset().union(*map(lineage, of)) for of in labels]

    def other_group(seen: np.ndarray, heard: np.ndarray) -> np.ndarray:
        return group[seen] != group[heard]

    def disjoint(seen: np.ndarray, heard: np.ndarray) -> np.ndarray:
        valid = other_group(seen, heard) & labelled[seen] & labelled[heard]
        for at in np.flatnonzero(valid):
            i, j = seen[at], heard[at]
            valid[at] = labels[i].isdisjoint(above[j]) and above[i].isdisjoint(labels[j])
        return valid

    pairs = {
        "corresponding": _own(fold, sizes["corresponding"], np.random.default_rng([*seed, 0])),
        "random": _two(fold, sizes["random"], lambda i, j: i != j, np.random.default_rng([*seed, 1])),
    }
    wanted = sizes["non_corresponding"]
    if basis == "labels" or (basis == "auto" and 2 * labelled.sum() >= len(labelled)):
        found = _two(fold, wanted, disjoint, np.random.default_rng([*seed, 2]))
        if basis == "labels" or len(found) >= LEAST:
            return Pairs(pairs | {"non_corresponding": found}, "labels")
    found = _two(fold, wanted, other_group, np.random.default_rng([*seed, 3]))
    return Pairs(pairs | {"non_corresponding": found}, "videos")


def _folds(fold: np.ndarray, size: int) -> list[tuple[np.ndarray, int]]:
    """Places of each fold's clips, and how many of `size` pairs fall to it, by its share of the clips."""
    places = [np.flatnonzero(fold == k) for k in np.unique(fold)]
    ends = [size * end // max(len(fold), 1) for end in np.cumsum([len(of) for of in places])]
    return [(of, end - start) for of, end, start in zip(places, ends, [0, *ends], strict=False)]


def _own(fold: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    chosen = [
        of if len(of) <= quota else np.sort(rng.choice(of, quota, replace=False)) for of, quota in _folds(fold, size)
    ]
    places = np.concatenate(chosen) if chosen else np.empty(0, np.int64)
    return np.column_stack([places, places])


def _two(
    fold: np.ndarray,
    size: int,
    valid: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Distinct valid pairs of two clips of one fold, ordered."""
    out = [np.empty((0, 2), np.int64)]
    for of, quota in _folds(fold, size):
        n = len(of)
        if n * n <= max(ENUMERATED, 4 * quota):
            codes = np.arange(n * n)
            codes = codes[valid(of[codes // n], of[codes % n])]
        else:
            codes = _some(of, quota, valid, rng)
        if len(codes) > quota:
            codes = rng.choice(codes, quota, replace=False)
        codes = np.sort(codes)
        out.append(np.column_stack([of[codes // n], of[codes % n]]))
    return np.concatenate(out)


def _some(
    of: np.ndarray, quota: int, valid: Callable[[np.ndarray, np.ndarray], np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Codes of at least `quota` distinct valid pairs of a large fold, fewer where 64 rounds find no more."""
    n, codes = len(of), np.empty(0, np.int64)
    for _ in range(64):
        if len(codes) >= quota:
            break
        more = rng.integers(0, n * n, 2 * quota)
        codes = np.unique(np.concatenate([codes, more[valid(of[more // n], of[more % n])]]))
    return codes
