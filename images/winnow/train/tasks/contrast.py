"""Task contrast: sound and picture of a clip are brought together, those of different clips apart, without a label
(ACAV100M's evaluation). What is learned is tried as task retrieve tries its heads; what it is worth, by `probe`.

frozen projects vectors of the lake; tiny, r3d18 and paper learn from decoded clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor, nn

from winnow.train import pair_losses, pairs
from winnow.train.config import TOWERS, TrainConfig
from winnow.train.loader import Vectors
from winnow.train.nets.contrast import Frozen, Projected
from winnow.train.nets.towers import GEOMETRIES, Towers
from winnow.train.sets import Examples
from winnow.train.shards import Window
from winnow.train.sizes import Sizes
from winnow.train.tasks.retrieve import CEILING, Terms, answers, check, each, score, table, targets

__all__ = [
    "CEILING",
    "answers",
    "build",
    "check",
    "closed",
    "dealt",
    "each",
    "inputs",
    "score",
    "sizes",
    "table",
    "targets",
    "terms",
    "views",
    "window",
]


def inputs(config: TrainConfig) -> dict[str, Sequence[str]]:
    """What the model reads of vectors, by input; nothing where it decodes clips."""
    if config.model in TOWERS:
        return {}
    return {"audio": pairs.columns(config.audio), "visual": pairs.columns(config.visual)}


def window(config: TrainConfig, model: str | None = None) -> Window | None:
    """What is cut out of a clip; None for a model of vectors."""
    of = GEOMETRIES.get(model or config.model)
    return None if of is None else Window(of.seconds, of.per_s, of.side, of.side, of.rate_hz, crop=True)


def views(config: TrainConfig) -> tuple[int, int]:
    """Windows of a clip, and cuts of its pictures, that an answer is made of."""
    del config
    return 1, 1


def sizes(config: TrainConfig, arrays: Mapping[str, np.ndarray], found: Examples) -> Sizes:
    """What a run's networks are as wide as."""
    if config.model in TOWERS:
        return Sizes(0, 0, 1, 1, len(found.categories), narrow=config.narrow)
    return pairs.sizes(arrays, found, config.narrow)


def build(config: TrainConfig, sizes: Sizes) -> nn.Module:
    """The network of a run."""
    if config.model in TOWERS:
        return Projected(Towers(config.model, "loud_masks" in config.faithful))
    return Frozen(sizes)


def closed(config: TrainConfig) -> bool:
    """Whether nothing is learned step by step."""
    return config.untrained


def dealt(vectors: Vectors, rows: np.ndarray, seed: int) -> Vectors:
    """The control: sounds of these rows of the store dealt out among them."""
    return vectors.dealt(rows, seed) if hasattr(vectors, "dealt") else pairs.Dealt.of(vectors, rows, seed)


def terms(config: TrainConfig, out: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Terms:
    """Loss by term, each with its weight; None where the batch has nothing to compare. Negatives are those of all
    ranks."""
    heard, seen, video = (pair_losses.gathered(rows) for rows in (out["audio"], out["visual"], given["video"]))
    return {"pairs": (1.0, pair_losses.info_nce(heard, seen, config.temperature, video))}
