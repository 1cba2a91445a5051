"""What a benchmark draws from for tasks that take sounds apart: clips whose sound (and query vector) are there.

Sets are drawn of clips, and every clip is mixed with others of its own set, so that all that a model hears while it
learns was chosen as its set says. Tried on is what the task is tried on without a benchmark: clips of val and test with
partners, or the rendered mixtures, each in the group of the clip whose picture is seen. What is tied to any clip that
the release keeps in val or test is in no set, since it may be the other sound of a mixture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.train import sounds, ties
from winnow.train.config import TrainConfig
from winnow.train.drawing import Pool
from winnow.train.sounds import SoundExamples

HELD = "held"


def found(
    lake: Lake,
    folder: Path,
    name: str,
    module: ModuleType,
    by_model: Mapping[str, TrainConfig],
    facts: Mapping[str, Mapping],
    groups: Mapping[str, str],
) -> tuple[SoundExamples, Pool, dict[str, int]]:
    """What all models can learn from and are tried on, its pool, and why other clips are not in it. Stores of decoded
    sound are made where they are not there. ContractError where more of what the release keeps has none than
    `most_missing` allows."""
    left: dict[str, set[str]] = {}
    shared: set[str] | None = None
    for config in by_model.values():
        loose = config.model_copy(update={"most_missing": 1.0})
        prepared = module.prepare(lake, folder, name, loose, test=True, every=True)
        ids = prepared.examples.id.tolist()
        shared = {*ids} if shared is None else shared & {*ids}
        for why, names in prepared.joined.left_out.items():
            left.setdefault(why, set()).update(names)
        _bounded(prepared.joined.left_out, ids, facts, config)
    there = shared or set()
    examples = prepared.examples
    examples = examples.take(np.flatnonzero([one in there for one in examples.id.tolist()]))
    held = [row for row in sounds.clips(folder, ("val", "test")) if row["id"] not in there]
    ids, splits, clips = (
        [*getattr(examples, name).tolist(), *(row[name] for row in held)] for name in ("id", "split", "clip")
    )
    pool = ties.pool(ids, splits, clips, facts, groups)
    status = pool.status.copy()
    status[np.flatnonzero(examples.split != "train")] = "kept"  # all of them are tried on
    status[len(examples) :] = HELD
    order = np.argsort(pool.id.astype(str), kind="stable")
    parts = {k: v[order] for k, v in vars(replace(pool, status=status)).items()}
    return examples, Pool(**parts), {why: len(names) for why, names in sorted(left.items())}


def _bounded(left: Mapping[str, list[str]], ids: list[str], facts: Mapping[str, Mapping], config: TrainConfig) -> None:
    lacking = sorted({one for names in left.values() for one in names if facts.get(one, {}).get("status") == "kept"})
    kept = len(lacking) + sum(facts.get(one, {}).get("status") == "kept" for one in ids)
    if len(lacking) > config.most_missing * kept:
        why = next(reason for reason, names in left.items() if lacking[0] in names)
        raise ContractError(
            f"{len(lacking)} of {kept} clips that the release keeps cannot be mixed, more than "
            f"{config.most_missing:.0%} (--set most_missing=…); the first is clip {lacking[0]}: {why}"
        )
