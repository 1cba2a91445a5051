"""Task parse: which events are heard and which are seen in each second (AVVP, data set LLP), taught by clip labels
alone.

Two protocols exist and their numbers do not compare: released HAN gates both sides by the clip's pooled probability
(`--set gate=video`), CPSP's fork each side by its own (`gate=modality`). The metric's name says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from winnow.metrics import avvp
from winnow.train import losses
from winnow.train.config import TrainConfig
from winnow.train.nets.parsing import HAN, ParsingCPSP
from winnow.train.sets import Examples
from winnow.train.sizes import Sizes

if TYPE_CHECKING:
    import pyarrow as pa

THRESHOLD = 0.90
#: What perfect answers score.
CEILING = 100.0
#: Labels of pictures, smoothed: what is heard in a clip is not always seen.
SMOOTH = (0.9, 0.05)
SHARED_LABELS = 0.9
Terms = dict[str, tuple[float, Tensor | None]]


def inputs(config: TrainConfig) -> dict[str, Sequence[str]]:
    """What the model reads, by input."""
    found = {"audio": config.audio, "visual": config.visual, "moving": config.moving}
    return {name: listed for name, listed in found.items() if listed}


def build(config: TrainConfig, sizes: Sizes) -> nn.Module:
    """The network of a run."""
    return HAN(sizes) if config.model == "han" else ParsingCPSP(sizes, config.threshold_share or THRESHOLD)


def targets(examples: Examples, rows: np.ndarray) -> dict[str, Tensor]:
    """What teaches: `labels` (B, C) of 0/1."""
    return {"labels": torch.from_numpy(examples.target[rows].astype(np.float32))}


def terms(config: TrainConfig, out: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Terms:
    """Loss by term, each with its weight; None where the batch has nothing to compare."""
    labels = given["labels"].to(out["clip"].dtype)
    found: Terms = {
        "heard": (1.0, losses.probabilities(out["modalities"][:, 0], labels)),
        "seen": (1.0, losses.probabilities(out["modalities"][:, 1], SMOOTH[0] * labels + SMOOTH[1])),
        "clip": (1.0, losses.probabilities(out["clip"], labels)),
    }
    if config.model == "cpsp":
        found["matching"] = (config.matching, losses.matching(out["audio"], out["seen"]))
        middle = torch.stack([out["audio"], out["visual"]]).mean((0, 2))
        drop = "contrast_drop" in config.faithful
        found["videos"] = (config.videos, losses.common(middle, labels, SHARED_LABELS, drop=drop))
    return found


def answers(out: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Probabilities: `segments` (B, T, 2, C), sound first; `modalities` (B, 2, C) and `clip` (B, C), pooled."""
    return {name: out[name].clamp(0, 1).cpu().numpy() for name in ("segments", "modalities", "clip")}


def gate_of(config: TrainConfig) -> str:
    """Whose pooled probability gates segments."""
    return config.gate or ("video" if config.model == "han" else "modality")


def score(config: TrainConfig, found: Mapping[str, np.ndarray], examples: Examples) -> dict[str, object]:
    """`winnow metrics avvp` of the answers; `value` is Type@AV of segments, `chance` that of the majority answer: the
    label sets' most frequent category, everywhere."""
    gate = gate_of(config)
    audio, visual = _masks(gate, found)
    said = avvp.score(audio, visual, examples.heard, examples.seen)
    guess = _majority(examples)
    chance = avvp.score(guess, guess, examples.heard, examples.seen)["segment"]["type_av"]
    return {
        "videos": len(examples),
        "gate": gate,
        **said,
        "metric": f"segment type_av, gate {gate}",
        "value": said["segment"]["type_av"],
        "chance": chance,
    }


def each(config: TrainConfig, found: Mapping[str, np.ndarray], examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Value and chance of every example: (n,) float64 each; their means are those of `score`."""
    guess = _majority(examples)
    value, chance = (
        np.array(
            [
                avvp.score(*(side[k : k + 1] for side in (*given, examples.heard, examples.seen)))["segment"]["type_av"]
                for k in range(len(examples))
            ]
        )
        for given in (_masks(gate_of(config), found), (guess, guess))
    )
    return value, chance


def _masks(gate: str, found: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return [
        avvp.masks(found["segments"][:, :, k], found["clip"] if gate == "video" else found["modalities"][:, k])
        for k in (0, 1)
    ]


def _majority(examples: Examples) -> np.ndarray:
    """The most frequent category, everywhere."""
    guess = np.zeros_like(examples.heard)
    guess[..., int((examples.heard.sum((0, 1)) + examples.seen.sum((0, 1))).argmax())] = True
    return guess


def table(found: Mapping[str, np.ndarray], examples: Examples) -> pa.Table:
    """Predictions: a row a clip and second."""
    import pyarrow as pa

    n, seconds, _, classes = found["segments"].shape

    def listed(values: np.ndarray) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).ravel()), classes)

    return pa.table(
        {
            "sample_id": np.repeat(examples.id, seconds),
            "clip": np.repeat(examples.clip, seconds),
            "split": np.repeat(examples.split, seconds),
            "segment": pa.array(np.tile(np.arange(seconds, dtype=np.int32), n)),
            "heard": listed(found["segments"][:, :, 0]),
            "seen": listed(found["segments"][:, :, 1]),
            "pooled": listed(np.repeat(found["clip"][:, None], seconds, 1)),
        }
    )
