"""Task retrieve: which picture is a sound's own, and which sound a picture's (AVSET-10M's benchmark).

Vectors of two encoders are frozen; a head on the sound answers a picture's vector (audio), or one on each side meets
the other half-way (both); either starts from the ridge's map of the training clips (`start`), or from nothing, as
published. Beside them stand what chance answers (random), the same head with the weights that it began
with (untrained), a ridge regression, and two encoders that share a space without any of this (zeroshot)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from winnow.core.errors import ContractError
from winnow.metrics import retrieval
from winnow.train import pair_losses, pairs
from winnow.train.config import TrainConfig
from winnow.train.loader import Vectors
from winnow.train.nets.pairing import Heads, Plain, Random, Ridge
from winnow.train.sets import Examples
from winnow.train.sizes import Sizes

if TYPE_CHECKING:
    import pyarrow as pa

#: What perfect answers score.
CEILING = 1.0
#: The k whose R@k is the main figure, where it is asked for.
MAIN = 5
Terms = dict[str, tuple[float, Tensor | None]]


def inputs(config: TrainConfig) -> dict[str, Sequence[str]]:
    """What the model reads, by input."""
    return {"audio": pairs.columns(config.audio), "visual": pairs.columns(config.visual)}


def sizes(config: TrainConfig, arrays: Mapping[str, np.ndarray], found: Examples) -> Sizes:
    """What a run's networks are as wide as; ContractError where two encoders have no common space to compare in."""
    said = pairs.sizes(arrays, found, config.narrow)
    if config.model == "zeroshot" and said.audio != said.visual:
        raise ContractError(
            f"zeroshot compares vectors of one space, and sound has {said.audio} numbers, pictures {said.visual}: give "
            "--set audio=joint.sound --set visual=joint.picture, or another model"
        )
    return said


def build(config: TrainConfig, sizes: Sizes) -> nn.Module:
    """The network of a run."""
    if config.model == "ridge":
        return Ridge(sizes.visual, sizes.audio)
    if config.model in ("zeroshot", "random"):
        return Plain() if config.model == "zeroshot" else Random()
    return Heads(sizes, config.model == "both", "raw_visual" in config.faithful, begun(config))


def closed(config: TrainConfig) -> bool:
    """Whether nothing is learned step by step."""
    return config.model not in ("audio", "both")


def begun(config: TrainConfig) -> bool:
    """Whether what is learned step by step starts from a fit; its validations then begin before the first step."""
    return config.start == "ridge" and not closed(config)


def fit(net: nn.Module, config: TrainConfig, given: Mapping[str, np.ndarray]) -> None:
    """What a model makes of training pairs at once: all of a ridge, and what heads start from."""
    if isinstance(net, Ridge):
        net.fit(given["audio"], given["visual"], config.ridge)
    elif isinstance(net, Heads):
        net.begin(given["audio"], given["visual"], config.ridge)


def dealt(vectors: Vectors, rows: np.ndarray, seed: int) -> Vectors:
    """The control: sounds of these rows of the store dealt out among them."""
    return pairs.Dealt.of(vectors, rows, seed)


def check(config: TrainConfig, examples: Examples, split: str) -> None:
    """ContractError where a split has too few clips for the k that are asked for, before anything is answered."""
    if len(examples) < max(config.recall):
        raise ContractError(
            f"split {split} has {len(examples)} clips with vectors, a gallery smaller than the k of "
            f"R@{max(config.recall)}: --set recall=1,5 asks for smaller ones"
        )


def targets(examples: Examples, rows: np.ndarray) -> dict[str, Tensor]:
    """What teaches: `video` (B,), a number for each source."""
    return {"video": torch.tensor([_number(name) for name in examples.video[rows]], dtype=torch.int64)}


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


def terms(config: TrainConfig, out: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Terms:
    """Loss by term, each with its weight; None where the batch has nothing to compare."""
    video = given["video"]
    if "same_video" in config.faithful:
        video = torch.arange(len(video), device=video.device)
    heard, seen = out["audio"], out["visual"]
    if "own_negatives" in config.faithful:
        return {"pairs": (1.0, pair_losses.quarters(heard, seen, config.temperature, video))}
    heard, seen, video = (pair_losses.gathered(rows) for rows in (heard, seen, video))
    if "raw_visual" in config.faithful:
        return {"pairs": (1.0, pair_losses.contrast(heard @ seen.T / config.temperature, video))}
    return {"pairs": (1.0, pair_losses.info_nce(heard, seen, config.temperature, video))}


def answers(out: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Vectors in the common space: `audio` (B, d), `visual` (B, d)."""
    return {name: out[name].float().cpu().numpy() for name in ("audio", "visual")}


def _main(config: TrainConfig) -> int:
    return MAIN if MAIN in config.recall else max(config.recall)


def score(config: TrainConfig, found: Mapping[str, np.ndarray], examples: Examples) -> dict[str, object]:
    """`winnow metrics retrieval` of the answers; `value` is R@5, the mean of both ways; `select` chooses between
    epochs: R@1, and of equal ones MRR."""
    said = retrieval.score(
        found["audio"],
        found["visual"],
        labels=examples.target,
        groups=examples.video,
        ks=config.recall,
        seed=config.seed,
    )
    k = _main(config)
    return {
        **said,
        "metric": f"R@{k} of {len(examples)}",
        "value": said[f"R@{k}"],
        "chance": k / len(examples),
        "select": said[f"R@{min(config.recall)}"] + 1e-6 * said["MRR"],
    }


def each(config: TrainConfig, found: Mapping[str, np.ndarray], examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Value and chance of every example: (n,) float64 each; their means are those of `score`."""
    k = _main(config)
    heard, seen = found["audio"], found["visual"]
    hits = (retrieval.ranks(heard, seen) <= k).astype(np.float64) + (retrieval.ranks(seen, heard) <= k)
    return hits / 2, np.full(len(examples), k / len(examples))


def table(found: Mapping[str, np.ndarray], examples: Examples) -> pa.Table:
    """Predictions: a row a clip, with its vectors and the ranks of its partners."""
    import pyarrow as pa

    names = np.array([*examples.categories, None], object)
    vectors = {
        side: pa.FixedSizeListArray.from_arrays(pa.array(found[side].astype(np.float32).ravel()), found[side].shape[1])
        for side in ("audio", "visual")
    }
    return pa.table(
        {
            "sample_id": examples.id,
            "video_id": examples.video,
            "split": examples.split,
            "category": pa.array(names[examples.target].tolist(), pa.string()),
            "rank_audio_to_visual": retrieval.ranks(found["audio"], found["visual"]),
            "rank_visual_to_audio": retrieval.ranks(found["visual"], found["audio"]),
            **vectors,
        }
    )
