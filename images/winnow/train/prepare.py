"""What a run stands on, before its first step: a release's examples, their vectors, and the run's identity.

The identity is a digest of all that its numbers follow from: options, release, examples, vectors, code and torch. The
same name with another identity is another run, and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from winnow import __version__
from winnow.core.errors import ContractError
from winnow.core.fingerprint import code_digest
from winnow.core.lake import Lake, digest, sha256_file
from winnow.release import publish
from winnow.train import sets
from winnow.train.config import TrainConfig
from winnow.train.nets.common import Sizes
from winnow.train.sets import Examples
from winnow.train.vectors import Joined, join

#: Options that change no number.
_ASIDE = {"tensorboard", "checkpoint_every"}


@dataclass(frozen=True)
class Prepared:
    """Examples that have vectors, in order, with their rows in the store."""

    release: str
    folder: Path
    examples: Examples
    joined: Joined
    sizes: Sizes

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
    found = sets.read(folder, task, family=config.family, half=config.half, leaks=config.allow_leaks, test=test)
    if config.clips:
        found = sets.listed(found, Path(config.clips), test=test)
    inputs = module.inputs(config)
    joined = join(lake, folder, sets.ids(found), inputs, found.seconds, config.vectors, config.most_missing)
    found = found.take(joined.kept)
    if not len(found.of("train")):
        raise ContractError(f"release {name} has no training clip with vectors for task {task}")
    return Prepared(name, folder, found, joined, _sizes(joined, found, config))


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


def identity(task: str, config: TrainConfig, prepared: Prepared, device: str) -> dict[str, object]:
    """What a run's numbers follow from."""
    import torch

    options = {k: v for k, v in config.model_dump().items() if k not in _ASIDE}
    for name in ("clips", "vectors"):
        if options[name]:
            options[name] = sha256_file(Path(options[name]))
    return {
        "task": task, "options": options, "release": prepared.release, "examples": prepared.examples.digest(),
        "vectors": digest({k: v for k, v in prepared.joined.vectors.card.items() if k != "file"}),
        "code": code_digest("winnow.train.fit"), "torch": torch.__version__, "numpy": np.__version__,
        "winnow": __version__, "device": device,
    }  # fmt: skip


def counts(prepared: Prepared) -> dict[str, object]:
    """Examples by split, and clips that were left out, by reason."""
    splits = {split: len(prepared.rows(split)) for split in ("train", "val")}
    return {"examples": splits, "left_out": {why: len(ids) for why, ids in prepared.joined.left_out.items()}}
