"""The data of the benchmark: two views, five layers of features each, and classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.core.errors import ConfigError

#: Every data set is made from this seed; the runs of the benchmark differ in their pairing, clustering and search.
DATA_SEED = 0
#: The held-out sets' own, and what is added to the seeds of its runs: no picture, voice, word, set of kept classes,
#: pairing or clustering on which a method or a parameter was chosen comes again.
HELD_OUT_SEED, HELD_OUT_RUNS = 1001, 1000
NAMES = ("digits-rotated", "digits-flipped", "digits-spoken", "digits-held-out", "kinds-held-out")


@dataclass(frozen=True)
class Dataset:
    """Two views of the same classes.

    first, second: layers of features, float32 (n1, dim) and (n2, dim), the last one the most abstract; first_class,
    second_class: (n1,) and (n2,); says: where it comes from, in a sentence; seeds_from: what is added to the seed of
    each run.
    """

    name: str
    first: list[np.ndarray]
    second: list[np.ndarray]
    first_class: np.ndarray
    second_class: np.ndarray
    says: str
    seeds_from: int = 0


def load(name: str, per_class: int, work: Path, note: Callable[[str], None] = lambda _: None) -> Dataset:
    """A data set of ten times as many samples, of each digit as many; `work` keeps what takes long to make."""
    from winnow.benchmark import digits, picture_layers, sound_layers, spoken

    if name not in NAMES:
        raise ConfigError(f"no data set {name!r}: {', '.join(NAMES)}, or clips of a lake with --lake")
    note(f"{name}: {10 * per_class} samples and their layers")
    if name.endswith("held-out"):
        return _digits_held_out(per_class, work, note) if name.startswith("digits") else _kinds_held_out(per_class)
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


def _digits_held_out(per_class: int, work: Path, note: Callable[[str], None]) -> Dataset:
    """Digits in a mirror and digits said in German, by voices that the other sets do not have."""
    from winnow.benchmark import digits, picture_layers, sound_layers, spoken

    images, classes = digits.handwritten(per_class, HELD_OUT_SEED)
    waves, said = spoken.spoken(per_class, HELD_OUT_SEED, work, note, spoken.GERMAN)
    return Dataset(
        "digits-held-out",
        picture_layers.describe(digits.mirrored(images), HELD_OUT_SEED),
        sound_layers.describe(waves, spoken.RATE_HZ, HELD_OUT_SEED),
        classes,
        said,
        "on which nothing was tuned: scikit-learn's handwritten digits, drawn and moved anew, left and right changed; "
        f"digits said in German by other voices of {spoken.program()[1]}; {HELD_OUT_RUNS} is added to each run's seed",
        HELD_OUT_RUNS,
    )


def _kinds_held_out(per_class: int) -> Dataset:
    """Made-up clips of unequal kinds, from a generator that the other sets do not know."""
    from winnow.benchmark import kinds

    first, second, kind = kinds.made(10 * per_class, HELD_OUT_SEED)
    return Dataset(
        "kinds-held-out",
        first,
        second,
        kind,
        kind,
        f"on which nothing was tuned: made-up clips of {kinds.KINDS} kinds of unequal size (the largest is a ninth of "
        f"all), {kinds.ERROR:.0%} of each layer in error; {HELD_OUT_RUNS} is added to each run's seed",
        HELD_OUT_RUNS,
    )
