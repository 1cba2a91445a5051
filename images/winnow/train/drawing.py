"""Training sets that differ in one thing: how their clips were chosen. All have the same number of clips, and none has
anything to do with the clips that they are tried on.

    release    clips that the release keeps
    random     candidates, kept or not, as chance has them
    rejected   clips that the release dropped
    top        the candidates that score highest, whatever was decided

Tried on is what the release keeps of val and test. Two clips are tied by a common video, uploader or a pair of
near-duplicates, and so by any chain of those; a training clip that is tied to one of val or test is in no set. Draws
are a function of seed and set; `top` is the same for every seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from winnow.core.errors import ConfigError, ContractError

SETS = ("release", "random", "rejected", "top")
#: A set that could have fewer clips is left out, and said to be.
LEAST = 8


@dataclass(frozen=True)
class Pool:
    """Labelled clips with vectors, ordered by id. id, split, status: (n,) str; score: (n,) float, NaN where there is
    none; group: (n,) str, the smallest id of what the clip is tied to."""

    id: np.ndarray
    split: np.ndarray
    status: np.ndarray
    score: np.ndarray
    group: np.ndarray

    @property
    def tried(self) -> np.ndarray:
        """Rows that every set is tried on."""
        return np.flatnonzero((self.status == "kept") & (self.split != "train"))

    @property
    def tied(self) -> np.ndarray:
        """Training rows that are tied to a clip of val or test, kept or not."""
        held = set(self.group[self.split != "train"].tolist())
        return np.flatnonzero((self.split == "train") & np.array([group in held for group in self.group], bool))


def groups(clips: Mapping[str, Sequence[str | None]], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Clip → smallest id of the clips that it is tied to. clips: id → what it may share (video, uploader; None for
    unknown), each of its own kind by place; pairs: of near-duplicates, by id; those of other clips tie too."""
    parent: dict[object, object] = {}

    def root(node: object) -> object:
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = parent.setdefault(above, above)
            node = parent[node]
        return node

    for clip, shared in clips.items():
        for kind, value in enumerate(shared):
            if value is not None:
                parent[root((kind, value))] = root(clip)
    for one, other in pairs:
        parent[root(one)] = root(other)
    smallest: dict[object, str] = {}
    for clip in sorted(clips):
        smallest.setdefault(root(clip), clip)
    return {clip: smallest[root(clip)] for clip in clips}


def candidates(pool: Pool) -> dict[str, np.ndarray]:
    """Rows that each set may take; of `top` in the order in which it takes them."""
    free = np.setdiff1d(np.flatnonzero(pool.split == "train"), pool.tied)
    scored = free[np.isfinite(pool.score[free])]
    return {
        "release": free[pool.status[free] == "kept"],
        "random": free,
        "rejected": free[pool.status[free] == "dropped"],
        "top": scored[np.lexsort((pool.id[scored].astype(str), -pool.score[scored]))],
    }


def size_of(pool: Pool, most: int | None = None) -> tuple[int, dict[str, str]]:
    """How many clips every set has, and sets that are left out: name → why. ContractError when what the release keeps,
    or chance, has fewer than LEAST, or nothing is there to be tried on; ConfigError for a `most` below LEAST."""
    if most is not None and most < LEAST:
        raise ConfigError(f"--size {most}: a set has at least {LEAST} clips")
    for split in ("val", "test"):
        if not (pool.split[pool.tried] == split).any():
            raise ContractError(f"the release keeps no labelled clip with vectors in split {split}: label more clips")
    found = {name: len(rows) for name, rows in candidates(pool).items()}
    for name in ("release", "random"):
        if found[name] < LEAST:
            raise ContractError(
                f"{found[name]} labelled clips with vectors can be in the training set {name!r}, and {LEAST} are "
                f"wanted ({len(pool.tied)} more are tied to clips of val or test): label more clips"
            )
    left = {name: f"{count} clips, {LEAST} are wanted" for name, count in found.items() if count < LEAST}
    return min([count for name, count in found.items() if name not in left] + ([most] if most else [])), left


def draw(pool: Pool, name: str, size: int, seed: int) -> np.ndarray:
    """Rows of one training set: (size,), in order."""
    rows = candidates(pool)[name]
    if name != "top":
        rows = np.random.default_rng([seed, SETS.index(name)]).permutation(rows)
    return np.sort(rows[:size])
