"""What a run stands on, before its first step: a release's examples, their vectors, and the run's identity.

The identity is a digest of all that its numbers follow from: options, release, examples, vectors, code and torch. The
same name with another identity is another run, and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from winnow import __version__
from winnow.core.errors import ContractError
from winnow.core.fingerprint import code_digest
from winnow.core.lake import Lake, digest, sha256_file
from winnow.exports.read_avel import SPLITS
from winnow.release import publish
from winnow.train import sets
from winnow.train.config import TrainConfig
from winnow.train.sets import Examples
from winnow.train.sizes import Sizes
from winnow.train.tasks import examples
from winnow.train.vectors import Joined, join

if TYPE_CHECKING:
    from torch import nn

    from winnow.train.tasks.probe import Base

#: Options that change no number.
_ASIDE = {"tensorboard", "checkpoint_every", "cache"}
#: Clips that what is fitted at once (a ridge) is made of, at most: their vectors stand in memory together.
FITTED = 50_000


@dataclass(frozen=True)
class Prepared:
    """Examples that have vectors, in order, with their rows in the store."""

    release: str
    folder: Path
    examples: Examples
    joined: Joined
    sizes: Sizes
    base: Base | None = None

    def rows(self, split: str) -> np.ndarray:
        """Rows of a split among the examples."""
        return self.examples.of(split)


def prepare(
    lake: Lake, module: ModuleType, task: str, config: TrainConfig, release: str | None, *, test: bool = False
) -> Prepared:
    """Read and join all of it; ContractError for what is wrong with labels or vectors. Without `test` nothing of the
    test split is looked at."""
    name = publish.resolve(lake, release)
    folder = publish.folder(lake, name)
    if hasattr(module, "prepare"):
        return module.prepare(lake, folder, name, config, test=test)
    found = examples(folder, task, config, test=test, every=bool(config.clips))
    if config.clips:
        found = sets.listed(found, Path(config.clips), SPLITS if test else SPLITS[:2])
    base, left = None, {}
    if hasattr(module, "base"):
        base = module.base(lake, config)
        found, left = module.arranged(lake, folder, config, found, base, test=test)
        config = module.settled(config, base)
    joined = joined_to(lake, folder, module, config, found, config.most_missing)
    joined = replace(joined, left_out={**joined.left_out, **left})
    found = found.take(joined.kept)
    if not len(found.of("train")):
        raise ContractError(f"release {name} has no training clip with vectors for task {task}")
    wide = module.sizes(config, joined.vectors.arrays, found) if hasattr(module, "sizes") else None
    if base is not None and (own := base.card.get("encoders", {})) != joined.vectors.card.get("encoders", {}):
        raise ContractError(f"run {config.of} learned from vectors of {own}, and these are of another encoder")
    return Prepared(name, folder, found, joined, wide or _sizes(joined, found, config), base)


def joined_to(
    lake: Lake, folder: Path, module: ModuleType, config: TrainConfig, found: Examples, most_missing: float
) -> Joined:
    """The vectors of these examples, or their clips where the model decodes them."""
    if hasattr(module, "window") and (window := module.window(config)) is not None:
        from winnow.train import clips

        times, places = module.views(config)
        ids = found.id.tolist()
        return clips.joined(lake, folder, ids, window, most_missing, times=times, places=places, cache=config.cache)
    inputs = module.inputs(config)
    return join(lake, folder, sets.ids(found), inputs, found.seconds, config.vectors, most_missing)


def network(module: ModuleType, config: TrainConfig, prepared: Prepared) -> nn.Module:
    """The network of a run, on the run that stands under it where one does."""
    return module.build(config, prepared.sizes, *([prepared.base] if hasattr(module, "base") else []))


def _sizes(joined: Joined, found: Examples, config: TrainConfig) -> Sizes:
    arrays, clip = joined.vectors.arrays, found.id[0]
    for name, array in arrays.items():
        wanted = 4 if name == "visual" else 3
        if array.ndim != wanted or array.shape[1] != found.seconds:
            shape = "(seconds, positions, numbers)" if name == "visual" else "(seconds, numbers)"
            raise ContractError(
                f"{name} of clip {clip} is {array.shape[1:]}: {shape} with {found.seconds} seconds are wanted"
            )
    moving = arrays["moving"].shape[2] if "moving" in arrays else 0
    audio, visual = arrays["audio"], arrays["visual"]
    return Sizes(
        audio.shape[2], visual.shape[3], visual.shape[2], found.seconds, len(found.categories), moving, config.narrow
    )


def code_of(task: str) -> str:
    """Digest of the loop, and of the task's networks and losses, which are found by the task's name."""
    return digest([code_digest("winnow.train.fit"), code_digest(f"winnow.train.tasks.{task.replace('-', '_')}")])


def identity(task: str, config: TrainConfig, prepared: Prepared, device: str) -> dict[str, object]:
    """What a run's numbers follow from."""
    import torch

    options = {k: v for k, v in config.model_dump().items() if k not in _ASIDE}
    for name in ("clips", "vectors", "classes"):
        if options[name]:
            options[name] = sha256_file(Path(options[name]))
    under = {"under": prepared.base.identity} if prepared.base is not None else {}
    return {
        **under,
        "task": task,
        "options": options,
        "release": prepared.release,
        "examples": prepared.examples.digest(),
        "vectors": digest({k: v for k, v in prepared.joined.vectors.card.items() if k != "file"}),
        "code": code_of(task),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "winnow": __version__,
        "device": device,
    }


def some(places: np.ndarray, seed: int) -> np.ndarray:
    """Those of a store's rows that a fit at once is made of: all, or FITTED of them by lot."""
    if len(places) <= FITTED:
        return places
    return np.sort(np.random.default_rng([seed, 2]).choice(places, FITTED, replace=False))


def counts(prepared: Prepared) -> dict[str, object]:
    """Examples by split, and clips that were left out, by reason."""
    splits = {split: len(prepared.rows(split)) for split in ("train", "val")}
    return {"examples": splits, "left_out": {why: len(ids) for why, ids in prepared.joined.left_out.items()}}
