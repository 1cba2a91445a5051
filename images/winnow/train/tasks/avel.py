"""Task avel: which category each second is of, or background (AVE, VGGSound-AVEL).

Fully supervised, labels by second teach; weakly, the clip's category alone. Two kinds of head exist and are not
variants of one: scores over categories and background a second (psp, avatt), and an event logit a second with one
category a clip (all others)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from winnow.metrics import ave
from winnow.metrics.files import BACKGROUND
from winnow.train import losses
from winnow.train.config import TrainConfig
from winnow.train.nets.baselines import AVSDN, DMRN, Attended
from winnow.train.nets.cmran import CMRAN
from winnow.train.nets.psp import PSP
from winnow.train.sets import Examples
from winnow.train.sizes import Sizes

if TYPE_CHECKING:
    import pyarrow as pa

METRIC = "accuracy"
#: What perfect answers score.
CEILING = 1.0
#: Published threshold × seconds, by supervision; margin and neighbours of the video contrast.
THRESHOLD = {"full": 0.99, "weak": 0.95}
VIDEOS = {"full": (0.2, 3), "weak": (0.6, 4)}
Terms = dict[str, tuple[float, Tensor | None]]


def inputs(config: TrainConfig) -> dict[str, Sequence[str]]:
    """What the model reads, by input."""
    return {"audio": config.audio, "visual": config.visual}


def build(config: TrainConfig, sizes: Sizes) -> nn.Module:
    """The network of a run."""
    weak = config.supervision == "weak"
    share = config.threshold_share or THRESHOLD[config.supervision]
    released = not weak or "squashed_loss" in config.faithful
    pool = {} if released else {"pool": "event"}
    return {
        "psp": lambda: PSP(sizes, share, head="softmax", weak_2021=weak),
        "cpsp": lambda: PSP(sizes, share, **pool),
        "sspsp": lambda: PSP(sizes, share, **pool),
        "avatt": lambda: Attended(sizes),
        "dmrn": lambda: DMRN(sizes, **pool),
        "avsdn": lambda: AVSDN(sizes, **pool),
        "cmran": lambda: CMRAN(sizes, weak, **pool),
    }[config.model]()


def targets(examples: Examples, rows: np.ndarray) -> dict[str, Tensor]:
    """What teaches: `category` (B,), `events` (B, T) of 0/1."""
    return {
        "category": torch.from_numpy(examples.target[rows]),
        "events": torch.from_numpy(examples.heard[rows].astype(np.float32)),
    }


def terms(config: TrainConfig, out: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Terms:
    """Loss by term, each with its weight; None where the batch has nothing to compare."""
    found = _weak(config, out, given) if config.supervision == "weak" else _full(config, out, given)
    if config.model == "sspsp":
        found["nce"] = (config.nce, losses.contrast_of_seconds(out["audio"], out["visual"]))
    if config.model == "cpsp":
        margin, k = VIDEOS[config.supervision]
        all_k = "vpsa_all_k" in config.faithful
        found["videos"] = (config.videos, losses.videos(out["fused"], given["category"], margin, k, all_k=all_k))
    return found


def _full(config: TrainConfig, out: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Terms:
    events, category = given["events"], given["category"]
    if "scores" in out:
        background = out["scores"].shape[-1] - 1
        second = torch.where(events > 0, category[:, None], background)
        squashed = "squashed_loss" in config.faithful
        found: Terms = {"seconds": (1.0, losses.seconds(out["scores"], second, squashed=squashed))}
    else:
        found = {
            "events": (1.0, losses.events(out["event"], events)),
            "category": (1.0, losses.category(out["category"], category)),
        }
    if config.model in ("psp", "cpsp"):
        found["pairs"] = (config.pairs, losses.pairs(out["audio"], out["visual"], events))
    if config.model == "cpsp":
        wrong = "spsa_axis" in config.faithful
        found["segments"] = (config.segments, losses.segments(out["fused"], events, wrong_axis=wrong))
    return found


def _weak(config: TrainConfig, out: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Terms:
    """The clip's category for the seconds that are said to be an event, and for the rest (not as released) none."""
    squashed, plain = "squashed_loss" in config.faithful, "pooled_background" in config.faithful
    rest = None
    if "weights" in out and plain:
        logits = (out["scores"] * out["weights"][..., None]).mean(1)
    elif "scores" in out and squashed:
        logits = out["scores"].amax(1)
    elif "scores" in out:
        logits, rest = losses.foreground(out["scores"], out.get("weights"))
    else:
        logits = losses.pooled(out["event"], out["category"]) if squashed else out["category"]
        rest = None if squashed else out["rest"]
    one_hot = nn.functional.one_hot(given["category"], logits.shape[-1])
    if "weights" in out:  # psp: probabilities of labels
        found: Terms = {"whole": (1.0, losses.probabilities(logits.softmax(-1), one_hot))}
    else:
        found = {"whole": (1.0, losses.whole(logits, one_hot, squashed=squashed))}
    if rest is not None:
        event = out["event"] if "event" in out else losses.eventful(out["scores"])
        found["rest"] = (config.rest, losses.whole(rest, torch.zeros_like(one_hot)))
        found["share"] = (config.share, losses.half(event))
    return found


def answers(out: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """`predicted` (B, T), class indices with background last, and `scores` (B, T, C + 1), which sum to 1."""
    if "scores" in out:
        scores = out["scores"].softmax(-1).cpu().numpy()
        return {"predicted": ave.from_one_hot(scores).astype(np.int32), "scores": scores}
    event, category = out["event"].cpu().numpy(), out["category"].cpu().numpy()
    there = torch.sigmoid(out["event"])[..., None]
    scores = torch.cat([there * out["category"].softmax(-1)[:, None], 1 - there], -1).cpu().numpy()
    return {"predicted": ave.from_heads(event, category).astype(np.int32), "scores": scores}


def truth(examples: Examples) -> np.ndarray:
    """True class indices, background last: (n, T)."""
    return np.where(examples.heard, examples.target[:, None], len(examples.categories))


def score(config: TrainConfig, found: Mapping[str, np.ndarray], examples: Examples) -> dict[str, object]:
    """`winnow metrics ave` of the answers; `value` is the accuracy, `chance` that of answering background always."""
    del config
    background, true = len(examples.categories), truth(examples)
    said = asdict(ave.score(found["predicted"], true, background))
    names = [*examples.categories, BACKGROUND]
    said["by_category"] = {names[k]: value for k, value in said["by_category"].items()}
    said["event_f1"] = ave.event_f1(found["predicted"], true, background)
    chance = float((true == background).mean())
    return {**said, "metric": METRIC, "value": said["accuracy"], "chance": chance}


def each(config: TrainConfig, found: Mapping[str, np.ndarray], examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Value and chance of every example: (n,) float64 each; their means are those of `score`."""
    del config
    true = truth(examples)
    return (found["predicted"] == true).mean(1), (true == len(examples.categories)).mean(1)


def table(found: Mapping[str, np.ndarray], examples: Examples) -> pa.Table:
    """Predictions: a row a clip, category and second."""
    import pyarrow as pa

    names = np.array([*examples.categories, BACKGROUND], object)
    n, seconds, classes = found["scores"].shape
    flat = pa.array(found["scores"].astype(np.float32).ravel())
    return pa.table(
        {
            "sample_id": np.repeat(examples.id, seconds),
            "clip": np.repeat(examples.clip, seconds),
            "category": np.repeat(names[examples.target], seconds),
            "split": np.repeat(examples.split, seconds),
            "segment": pa.array(np.tile(np.arange(seconds, dtype=np.int32), n)),
            "predicted": names[found["predicted"].ravel()],
            "truth": names[truth(examples).ravel()],
            "scores": pa.FixedSizeListArray.from_arrays(flat, classes),
        }
    )
