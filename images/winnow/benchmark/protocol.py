"""Who is paired with whom: half keeps its pairing, the rest is shuffled.

True pairs are paired by class and not by instance: within a class the two views are shuffled. They lie at random
positions. Three variants:

- `chance` (the published one): half of the classes keep their pairing. Each view of all remaining samples is shuffled
  on its own, so about one mismatched pair in as many as there are remaining classes shares its class by chance, and
  still counts as mismatched.
- `distinct`: the same, but no mismatched pair shares its class.
- `samples` (published for Kinetics-Sounds): half of the samples, of whatever class, keep their pairing, the rest is
  shuffled as in `chance`. A class tells nothing here about being true: only whether the two sides agree does.

Source: released code of ACAV100M (its correspondence-retrieval experiments).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from winnow.core.errors import ConfigError

VARIANTS = ("chance", "distinct", "samples")


@dataclass(frozen=True)
class Draw:
    """Pairs of a benchmark run.

    first, second: int64 (n,), rows of the two views; true: bool (n,), whether the pair is of the kept half;
    classes: (n, 2), the class of either side; kept: the classes that kept their pairing.
    """

    first: np.ndarray
    second: np.ndarray
    true: np.ndarray
    classes: np.ndarray
    kept: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    @property
    def size(self) -> int:
        """Number of true pairs: how many a method selects."""
        return int(self.true.sum())


def draw(first_class: np.ndarray, second_class: np.ndarray, seed: int, variant: str = "chance") -> Draw:
    """Pair the samples of two views, whose classes are given, by the protocol.

    first_class, second_class: int (n1,), (n2,). A class that the views hold in different numbers is cut to the smaller
    one. Half of the classes (in `samples`: of the samples), rounded down, keeps its pairing. ConfigError with fewer
    than two classes in common or, in `distinct`, with fewer than two remaining, or one of them more than half of the
    rest.
    """
    if variant not in VARIANTS:
        raise ConfigError(f"no variant {variant!r}: one of {', '.join(VARIANTS)}")
    rng = np.random.default_rng([seed, 1])
    names = np.intersect1d(first_class, second_class)
    if len(names) < 2:
        raise ConfigError(f"the protocol needs two classes that both views have, and there is {len(names)}")
    kept = names if variant == "samples" else np.sort(rng.permutation(names)[: len(names) // 2])
    sides: list[list[np.ndarray]] = [[], []]
    for name in names:
        members = [rng.permutation(np.flatnonzero(side == name)) for side in (first_class, second_class)]
        count = min(map(len, members))
        for side, rows in zip(sides, members, strict=True):
            side.append(rows[:count])
    paired = [np.concatenate(side).astype(np.int64) for side in sides]
    if variant == "samples":
        keeps = rng.permutation(len(paired[0])) < len(paired[0]) // 2
    else:
        keeps = np.isin(first_class[paired[0]], kept)
    true, rest = [side[keeps] for side in paired], [rng.permutation(side[~keeps]) for side in paired]
    if variant == "distinct":
        rest[1] = _apart(first_class[rest[0]], rest[1], second_class, rng)
    first, second = (np.concatenate([t, r]) for t, r in zip(true, rest, strict=True))
    place = rng.permutation(len(first))
    truth = (np.arange(len(first)) < len(true[0]))[place]
    first, second = first[place], second[place]
    return Draw(first, second, truth, np.stack([first_class[first], second_class[second]], axis=1), kept)


def _apart(classes: np.ndarray, second: np.ndarray, second_class: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`second` with entries swapped until none has the class at its place: a swap with a random place that helps."""
    _, counts = np.unique(classes, return_counts=True)
    if len(counts) < 2 or counts.max() * 2 > len(classes):
        raise ConfigError("pairs that never share a class need two remaining classes, none more than half of the rest")
    second = second.copy()
    for i in rng.permutation(len(second)):
        if second_class[second[i]] == classes[i]:
            other = second_class[second]
            able = np.flatnonzero((other != classes[i]) & (classes != classes[i]))
            j = able[rng.integers(len(able))]
            second[i], second[j] = second[j], second[i]
    return second


def precision(selected: np.ndarray, true: np.ndarray) -> float:
    """Share of the selected pairs that are true: |selected ∩ true| / |selected|; recall too when as many are
    selected as are true. selected: int (m,), row numbers; true: bool (n,)."""
    return float(true[selected].mean()) if len(selected) else 0.0
