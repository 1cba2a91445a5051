"""Task probe: how much of a clip's class does one linear layer read out of features that were learned without it?

Features are of a run of contrast (`--set of=RUN`), of its untrained network, or vectors of the lake. The layer learns
from the release's clips of val, which no run learned from, in a fixed number of epochs, and is tried on test; or from a
table of one's own (`--set classes=FILE`). Clips that a video, an uploader or a near-duplicate ties to what the run
learned from are taken out, and counted. Decoded clips are answered for by ten windows and three cuts of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.metrics import classes
from winnow.release import publish
from winnow.train import pairs, sets, state, ties
from winnow.train.config import TOWERS, TrainConfig
from winnow.train.nets.contrast import Probe
from winnow.train.nets.contrast import Vectors as Stored
from winnow.train.runs import Run
from winnow.train.sets import Examples
from winnow.train.sizes import Sizes
from winnow.train.tasks import contrast

if TYPE_CHECKING:
    import pyarrow as pa

METRIC, CEILING = "top-1", 1.0
TIMES, PLACES = 10, 3
Terms = dict[str, tuple[float, Tensor | None]]


@dataclass(frozen=True)
class Base:
    """The run that stands under a probe: its card, options, and checkpoint."""

    card: Mapping
    config: TrainConfig
    path: Path

    @property
    def identity(self) -> str:
        """What the probe's own identity says of it."""
        return self.card["identity"]


@dataclass(frozen=True)
class Classed(pairs.Pairs):
    """Clips with a class each."""

    def shuffled(self, seed: int) -> Classed:
        """The control: classes of training clips dealt out among them."""
        rows, changed = self.of("train"), self.target.copy()
        changed[rows] = self.target[rows[np.random.default_rng([seed, 1]).permutation(len(rows))]]
        return replace(self, target=changed)


# -- what it stands on -------------------------------------------------------------------------------------------------
def base(lake: Lake, config: TrainConfig) -> Base | None:
    """The run under a probe; None for vectors. ConfigError for none, or one of another model."""
    if config.model == "vectors":
        if config.of:
            raise ConfigError("--model vectors probes vectors of the lake: leave --set of out, or name the run's model")
        return None
    if not config.of:
        raise ConfigError("a probe needs --set of=RUN, a run of task contrast, or --model vectors")
    run = Run(lake, "contrast", config.of)
    card = run.card()
    under = TrainConfig(**card["config"])
    wanted = "frozen" if config.model == "untrained" else config.model
    if under.model != wanted or (config.model == "untrained" and not under.untrained):
        raise ConfigError(f"run {config.of} of contrast is of model {under.model}, not {config.model}: give --model")
    return Base(card, under, run.checkpoint(card))


def settled(config: TrainConfig, under: Base | None) -> TrainConfig:
    """What a probe reads is what the run under it reads."""
    if under is None:
        return config
    own = under.config
    return config.model_copy(
        update={"audio": own.audio, "visual": own.visual, "vectors": config.vectors or own.vectors}
    )


def arranged(
    lake: Lake, folder: Path, config: TrainConfig, found: Examples, under: Base | None, *, test: bool
) -> tuple[Examples, dict[str, list[str]]]:
    """The clips of a probe: what it learns from is `train`, what it is tried on `test`; and what was left out, by
    reason. ContractError where nothing is left, or a class has no clip to learn from."""
    found = _of_table(Path(config.classes), found, test) if config.classes else _of_release(found)
    left: dict[str, list[str]] = {}
    tied = _tied(lake, folder, found, under)
    for why, gone in (("tied to what was learned from", tied), ("unlabelled", (found.target < 0) & ~tied)):
        if gone.any():
            left[why] = sorted(found.id[gone].tolist())
    found = found.take(np.flatnonzero(~tied & (found.target >= 0)))
    if not len(found.of("train")):
        why = ", ".join(f"{reason} {len(ids)}" for reason, ids in left.items()) or "none has a class"
        raise ContractError(f"no clip is left for a probe to learn from: {why}")
    return _taught(config, found, left)


def _of_release(found: Examples) -> Classed:
    """Clips of val to learn from, those of test to be tried on."""
    split = np.where(found.split == "val", "train", np.where(found.split == "train", "", found.split)).astype(object)
    names = ("categories", "id", "clip", "target", "heard", "seen", "video")
    whole = Classed(split=split, **{name: getattr(found, name) for name in names})
    return whole.take(np.flatnonzero(split != ""))


def _of_table(path: Path, found: Examples, test: bool) -> Classed:
    """Clips of a table: sample_id, label, split (train, test)."""
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path, columns=["sample_id", "label", "split"]).to_pylist()
    except (OSError, ValueError, KeyError) as error:
        why = str(error).splitlines()[0]
        raise ContractError(f"--set classes={path}: a Parquet of sample_id, label, split is wanted: {why}") from error
    rows = sorted((row for row in rows if row["label"] is not None), key=lambda row: row["sample_id"])
    names = [row["sample_id"] for row in rows]
    if twice := next((a for a, b in pairwise(names) if a == b), None):
        raise ContractError(f"{path}: clip {twice} stands in it twice")
    if wrong := [row for row in rows if row["split"] not in ("train", "test")]:
        raise ContractError(f"{path}: clip {wrong[0]['sample_id']} is in split {wrong[0]['split']!r}: train or test")
    categories = tuple(sorted({row["label"] for row in rows}))
    rows = [row for row in rows if test or row["split"] == "train"]
    video = dict(zip(found.id.tolist(), found.video.tolist(), strict=True))
    ids, split = (np.array([row[name] for row in rows], object) for name in ("sample_id", "split"))
    source = np.array([video.get(name, name) for name in ids.tolist()], object)
    target, none = np.array([categories.index(row["label"]) for row in rows], np.int64), np.zeros((len(rows), 1), bool)
    return Classed(categories, ids, ids, split, target, none, none, source)


def _tied(lake: Lake, folder: Path, found: Examples, under: Base | None) -> np.ndarray:
    """Which clips share a group with one that the run under the probe learned from."""
    if under is None:
        return np.zeros(len(found), bool)
    home = publish.folder(lake, publish.resolve(lake, under.card["release"]))
    corpus = pairs.read(home, every=bool(under.config.clips), leaks=True, test=False)
    if under.config.clips:
        corpus = sets.listed(corpus, Path(under.config.clips), ("train", "val"))
    _, groups = ties.facts(folder)
    learned = {groups.get(name, name) for name in corpus.id[corpus.of("train")].tolist()}
    return np.array([groups.get(name, name) in learned for name in found.id.tolist()], bool)


def _taught(config: TrainConfig, found: Classed, left: dict[str, list[str]]) -> tuple[Classed, dict[str, list[str]]]:
    """Only classes that have a clip to learn from."""
    there = np.isin(np.arange(len(found.categories)), found.target[found.of("train")])
    lacking = [name for name, has in zip(found.categories, there, strict=True) if not has]
    if lacking and config.rare == "stop":
        more = f", and {len(lacking) - 1} more have none" if len(lacking) > 1 else ""
        raise ContractError(
            f"class {lacking[0]!r} has no clip for a probe to learn from{more}: --set rare=drop leaves its clips out"
        )
    kept = np.flatnonzero(there[found.target])
    if len(kept) < len(found):
        gone = np.setdiff1d(np.arange(len(found)), kept)
        left["of a class without a clip to learn from"] = sorted(found.id[gone].tolist())
    number = np.cumsum(there) - 1
    names = tuple(name for name, has in zip(found.categories, there, strict=True) if has)
    return replace(found.take(kept), categories=names, target=number[found.target[kept]].astype(np.int64)), left


# -- the task ----------------------------------------------------------------------------------------------------------
def inputs(config: TrainConfig) -> dict[str, Sequence[str]]:
    """What the model reads of vectors, by input; nothing where it decodes clips."""
    return contrast.inputs(config)


def window(config: TrainConfig):
    """What is cut out of a clip; None for vectors."""
    return contrast.window(config)


def views(config: TrainConfig) -> tuple[int, int]:
    """Windows of a clip, and cuts of its pictures, that an answer is the sum over."""
    return (TIMES, 1 if config.sides == "audio" else PLACES) if config.model in TOWERS else (1, 1)


def sizes(config: TrainConfig, arrays: Mapping[str, np.ndarray], found: Examples) -> Sizes:
    """What a run's networks are as wide as."""
    return contrast.sizes(config, arrays, found)


def raw(config: TrainConfig) -> bool:
    """Whether the network standardises its inputs itself: as the run under it did."""
    return config.model != "vectors"


def build(config: TrainConfig, sizes: Sizes, under: Base | None) -> nn.Module:
    """The network of a run; ContractError where what it reads is not as wide as what the run under it read."""
    if under is None:
        stored = Stored(sizes)
        return Probe(state.Model(stored, {}, {}), stored.widths, sizes.classes, config.sides, config.dropout)
    own = Sizes(**under.card["sizes"])
    if (own.audio, own.visual) != (sizes.audio, sizes.visual):
        raise ContractError(
            f"run {under.card['run']} learned from vectors of {own.audio} and {own.visual} numbers, and these have "
            f"{sizes.audio} and {sizes.visual}: they are of another encoder"
        )
    tensors, _ = state.load(under.path.read_bytes(), str(under.path))
    net = contrast.build(under.config, own)
    shifts, scales = (
        {n: tensors[f"{kind}_{n}"].numpy() for n in inputs(settled(config, under))} for kind in ("mean", "scale")
    )
    model = state.Model(net, shifts, scales)
    model.load_state_dict(tensors)
    return Probe(model, net.widths, sizes.classes, config.sides, config.dropout)


def targets(examples: Examples, rows: np.ndarray) -> dict[str, Tensor]:
    """What teaches: `category` (B,)."""
    return {"category": torch.from_numpy(examples.target[rows])}


def terms(config: TrainConfig, out: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Terms:
    """Loss by term, each with its weight."""
    del config
    return {"category": (1.0, F.cross_entropy(out["scores"], given["category"]))}


def answers(out: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """`scores` (B, C), which sum to 1 a view."""
    return {"scores": out["scores"].softmax(-1).cpu().numpy()}


def score(config: TrainConfig, found: Mapping[str, np.ndarray], examples: Examples) -> dict[str, object]:
    """`winnow metrics classes` of the answers; `value` is top-1, `chance` that of the most frequent class."""
    said = classes.score(found["scores"], examples.target)
    times, places = views(config)
    return {
        **said,
        "sides": config.sides,
        "views": times * places,
        "metric": METRIC,
        "value": said["top_1"],
        "chance": said["majority"],
    }


def each(config: TrainConfig, found: Mapping[str, np.ndarray], examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Value and chance of every example: (n,) float64 each; their means are those of `score`."""
    del config
    most = np.bincount(examples.target, minlength=found["scores"].shape[1]).argmax()
    right = classes.places(found["scores"], examples.target) <= 1
    return right.astype(np.float64), (examples.target == most).astype(np.float64)


def table(found: Mapping[str, np.ndarray], examples: Examples) -> pa.Table:
    """Predictions: a row a clip."""
    import pyarrow as pa

    names = np.array(examples.categories, object)
    flat = pa.array(found["scores"].astype(np.float32).ravel())
    return pa.table(
        {
            "sample_id": examples.id,
            "split": examples.split,
            "category": names[examples.target],
            "predicted": names[found["scores"].argmax(1)],
            "scores": pa.FixedSizeListArray.from_arrays(flat, found["scores"].shape[1]),
        }
    )
