"""The data of the benchmark: two views, five layers of features each, and classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.errors import ConfigError

#: Every data set is made from this seed; the runs of the benchmark differ in their pairing, clustering and search.
DATA_SEED = 0
NAMES = ("digits-rotated", "digits-flipped", "digits-spoken")


@dataclass(frozen=True)
class Dataset:
    """Two views of the same classes.

    first, second: layers of features, float32 (n1, dim) and (n2, dim), the last one the most abstract; first_class,
    second_class: (n1,) and (n2,); says: where it comes from, in a sentence.
    """

    name: str
    first: list[np.ndarray]
    second: list[np.ndarray]
    first_class: np.ndarray
    second_class: np.ndarray
    says: str


def load(name: str, per_class: int, work: Path, note: Callable[[str], None] = lambda _: None) -> Dataset:
    """A data set of digits with this many samples of each class; `work` keeps what takes long to make."""
    from winnow.benchmark import digits, picture_layers, sound_layers, spoken

    if name not in NAMES:
        raise ConfigError(f"no data set {name!r}: {', '.join(NAMES)}, or clips of a lake with --lake")
    note(f"{name}: {per_class} samples of each of ten classes, their layers")
    images, classes = digits.handwritten(per_class, DATA_SEED)
    first = picture_layers.describe(images, DATA_SEED)
    source = "scikit-learn's handwritten digits, drawn with replacement and moved a little"
    if name == "digits-spoken":
        waves, said = spoken.spoken(per_class, DATA_SEED, work, note)
        second = sound_layers.describe(waves, spoken.RATE_HZ, DATA_SEED)
        return Dataset(name, first, second, classes, said, f"{source}; digits spoken by {spoken.program()[1]}")
    other, others = digits.handwritten(per_class, DATA_SEED + 1)
    turned, how = (
        (digits.rotated(other), "turned by 90 degrees")
        if name == "digits-rotated"
        else (digits.flipped(other), "upside down")
    )
    second = picture_layers.describe(turned, DATA_SEED)
    return Dataset(name, first, second, classes, others, f"{source}; other ones {how}")
