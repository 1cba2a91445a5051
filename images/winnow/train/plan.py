"""The benchmark of a release: which models are trained on which sets with which seeds, and what all are tried on.

    benchmarks/lists/<sha16>.parquet    the clips of one training set, and of val and test: sample_id, split, group_id
    benchmarks/<plan>/plan.json         release, and every cell `task/model/set/seed` with its run's name and options

A plan is named by what it holds, and a run by all that its numbers follow from (but for the device): the same inputs
again are the same plan and train nothing. Every set has the same number of clips and every run of a model the same
number of steps (`winnow.train.drawing`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from winnow import __version__
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake, digest, sha256_bytes, sha256_file
from winnow.release import publish
from winnow.train import drawing, sounding, ties
from winnow.train.config import ON_REQUEST, TASKS, TrainConfig, load
from winnow.train.drawing import Pool
from winnow.train.prepare import code_of, joined_to
from winnow.train.sets import Examples
from winnow.train.tasks import examples as read_examples
from winnow.train.tasks import task_module

#: Options that a plan gives itself.
_OWN = ("clips", "seed", "model")


def configs(
    tasks: Sequence[str], models: Sequence[str], preset: str, settings: Sequence[str] = ()
) -> dict[str, dict[str, TrainConfig]]:
    """Task → model → options. All models of a task, but for those ON_REQUEST, where `models` is empty; else those of
    `models` that it has. ConfigError for a task or a model that is not there, a task that is left without a model, and
    a setting that is the plan's own."""
    for one in settings:
        if (key := one.partition("=")[0].strip()) in _OWN:
            raise ConfigError(f"--set {one}: a benchmark sets {key} itself (--seeds, --models)")
    if not tasks:
        raise ConfigError("a benchmark needs --tasks, as in avel or avel,parse")
    for task in tasks:
        if task not in TASKS:
            raise ConfigError(f"there is no task {task!r}; there are {', '.join(TASKS)}")
    chosen = {
        task: [name for name in TASKS[task] if (name in models if models else name not in ON_REQUEST.get(task, ()))]
        for task in dict.fromkeys(tasks)
    }
    for task, names in chosen.items():
        if not names:
            raise ConfigError(
                f"task {task} has none of the models {', '.join(models)}; it has {', '.join(TASKS[task])}"
            )
    if unknown := set(models) - {name for names in chosen.values() for name in names}:
        raise ConfigError(f"no task of {', '.join(tasks)} has a model {', '.join(sorted(unknown))}")
    return {task: {name: load(task, preset, settings, (), name) for name in names} for task, names in chosen.items()}


def features(
    lake: Lake, release: str | None, wanted: Mapping[str, Mapping[str, TrainConfig]]
) -> tuple[str, dict[str, tuple[Examples, Pool, dict[str, int]]]]:
    """The release, and by task its labelled examples, the pool of their clips and why clips are not in it. Stores of
    vectors are made where they are not there. ContractError, with the command that makes them, where more of the clips
    that the release keeps have no vectors than `most_missing` allows."""
    name = publish.resolve(lake, release)
    folder = publish.folder(lake, name)
    facts, groups = ties.facts(folder)
    found = {}
    for task, by_model in wanted.items():
        if hasattr(module := task_module(task), "prepare"):
            found[task] = sounding.found(lake, folder, name, module, by_model, facts, groups)
            continue
        first = next(iter(by_model.values()))
        examples = read_examples(folder, task, first, every=True)
        known = [clip in facts for clip in examples.id.tolist()]
        left = {"not cut": len({*examples.id.tolist()} - {*facts})}
        examples = examples.take(np.flatnonzero(known))
        examples, why = _with_vectors(lake, folder, task, examples, by_model, facts)
        ids, at = np.unique(examples.id.astype(str), return_index=True)
        pool = ties.pool(ids.tolist(), examples.split[at].tolist(), ids.tolist(), facts, groups)
        found[task] = (examples, pool, {k: v for k, v in {**left, **why}.items() if v})
    return name, found


def _with_vectors(
    lake: Lake, folder: Path, task: str, examples: Examples, by_model: Mapping[str, TrainConfig], facts: Mapping
) -> tuple[Examples, dict[str, int]]:
    """The examples whose clips have the vectors of every model, and how many clips have none, by reason."""
    module = task_module(task)
    why: dict[str, int] = {}
    seen: set[str] = set()
    for config in by_model.values():
        inputs = {name: list(listed) for name, listed in module.inputs(config).items()}
        key = json.dumps([inputs, config.vectors, "" if inputs else config.model])
        if key in seen or not len(examples):
            continue
        seen.add(key)
        kept = np.flatnonzero([facts[clip]["status"] == "kept" for clip in examples.id.tolist()])
        for rows, most in ((kept, config.most_missing), (np.arange(len(examples)), 1.0)):
            if len(rows):
                joined = joined_to(lake, folder, module, config, examples.take(rows), most)
        for reason, ids in joined.left_out.items():
            why[reason] = why.get(reason, 0) + len(ids)
        examples = examples.take(joined.kept)
    return examples, why


def make(
    lake: Lake,
    release: str | None,
    tasks: Sequence[str],
    *,
    models: Sequence[str] = (),
    seeds: int = 3,
    preset: str = "demo",
    settings: Sequence[str] = (),
    size: int | None = None,
) -> dict[str, Any]:
    """Draw the sets, write lists and plan; {"plan", "release", "cells", "tasks", "computed"}. `computed` is False where
    this plan was there. ContractError where too few clips are labelled (`winnow.train.drawing.size_of`)."""
    import torch

    if seeds < 1:
        raise ConfigError(f"--seeds {seeds}: at least one is wanted")
    wanted = configs(tasks, models, preset, settings)
    name, found = features(lake, release, wanted)
    versions = {"torch": torch.__version__, "numpy": np.__version__, "winnow": __version__}
    given = {task: _sha256(next(iter(by_model.values())).vectors) for task, by_model in wanted.items()}
    cells: dict[str, dict] = {}
    told: dict[str, dict] = {}
    for task, by_model in wanted.items():
        examples, pool, left_out = found[task]
        count, without = drawing.size_of(pool, size)
        names = [one for one in drawing.SETS if one not in without]
        lists = {
            (one, seed): _list(lake, pool, drawing.draw(pool, one, count, seed))
            for one in names
            for seed in range(seeds)
        }
        fewest = min(len(_taught(examples, drawn)) for _, drawn in lists.values())
        for model, config in by_model.items():
            under = _under(task, config, preset, settings)
            for (one, seed), (key, _) in lists.items():
                label = f"{model}-{one}-{seed}"
                shared = {"vectors": given[task], "release": name, "code": code_of(task), **versions}
                cell = {"task": task, "model": model, "set": one, "seed": seed, "list": key}
                if under is not None:
                    own = {**shared, "code": code_of("contrast")}
                    cell["under"] = _run(under, seed, key, fewest, f"{under.model}-{one}-{seed}", own)
                    config = config.model_copy(update={"of": cell["under"]["run"]})
                cells[f"{task}/{model}/{one}/{seed}"] = {
                    **cell,
                    **_run(config, seed, key, None if task == "probe" else fewest, label, shared),
                }
        untaught = {
            f"{one}/{seed}": missing
            for (one, seed), (_, drawn) in lists.items()
            if (missing := _untaught(task, examples.take(_taught(examples, drawn))))
        }
        told[task] = {
            "clips": len(pool.id),
            "size": count,
            "left_out": left_out,
            "tied": len(pool.tied),
            "sets_left_out": without,
            "tried_on": {split: int((pool.split[pool.tried] == split).sum()) for split in ("val", "test")},
            "candidates": {one: len(rows) for one, rows in drawing.candidates(pool).items()},
            "untaught": untaught,
        }
    plan = {"release": name, "preset": preset, "settings": list(settings), "tasks": told, "cells": cells}
    key = digest(plan)
    text = json.dumps(plan, indent=1, sort_keys=True) + "\n"
    computed = lake.create(f"benchmarks/{key}/plan.json", text.encode())
    return {"plan": key, "release": name, "cells": list(cells), "tasks": told, "computed": computed}


def _run(
    config: TrainConfig, seed: int, key: str, clips: int | None, label: str, shared: Mapping[str, object]
) -> dict[str, object]:
    """A run's options and its name, which is of all that its numbers follow from. clips: of the smallest set, whose
    number of steps all have; None where all learn from the same clips."""
    options = config.model_copy(update={"seed": seed})
    if clips is not None:
        steps = config.epochs * -(-clips // config.batch)
        options = options.model_copy(update={"max_steps": min(steps, config.max_steps or steps)})
    said = {**options.model_dump(), **shared, "clips": key}
    return {"run": f"{label}-{digest(said)}", "config": {**options.model_dump(), "clips": None}}


def _under(task: str, config: TrainConfig, preset: str, settings: Sequence[str]) -> TrainConfig | None:
    """What a probe's cell trains first: the run of contrast that it stands on."""
    if task != "probe" or config.model == "vectors":
        return None
    model = "frozen" if config.model == "untrained" else config.model
    return load("contrast", preset, settings, (), model).model_copy(update={"untrained": config.model == "untrained"})


def read(lake: Lake, plan: str) -> dict:
    """A plan; ConfigError for one that is not there."""
    value = lake.read_json(f"benchmarks/{plan}/plan.json", "run `winnow benchmark sets` again")
    if value is None:
        known = ", ".join(name for name in lake.list("benchmarks") if name != "lists") or "none"
        raise ConfigError(f"there is no benchmark {plan!r}; there are {known}")
    return value


def cell_of(plan: Mapping, name: str) -> dict:
    """One cell of a plan; ConfigError for one that it does not have."""
    if name not in plan["cells"]:
        raise ConfigError(
            f"this benchmark has no cell {name!r}; the first of {len(plan['cells'])} is {next(iter(plan['cells']))}"
        )
    return plan["cells"][name]


def _list(lake: Lake, pool: Pool, drawn: np.ndarray) -> tuple[str, np.ndarray]:
    """Write a list; its key, and the ids of its training clips."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = np.sort(np.concatenate([drawn, pool.tried]))
    columns = {"sample_id": pool.id, "split": pool.split, "group_id": pool.group}
    table = pa.table({name: pa.array(values[rows].tolist(), pa.string()) for name, values in columns.items()})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    key = f"benchmarks/lists/{sha256_bytes(sink.getvalue())[:16]}.parquet"
    lake.create(key, sink.getvalue())
    return key, pool.id[drawn]


def _sha256(path: str | None) -> str | None:
    return sha256_file(Path(path)) if path else None


def _taught(examples: Examples, ids: np.ndarray) -> np.ndarray:
    """Rows of the examples of these clips."""
    among = set(ids.tolist())
    return np.flatnonzero([clip in among for clip in examples.id.tolist()])


def _untaught(task: str, taught: Examples) -> list[str]:
    """Categories without a training clip in a set: its models cannot learn them, and that counts against it."""
    if not taught.categories:
        return []
    there = taught.target.any(0) if task == "parse" else np.isin(np.arange(len(taught.categories)), taught.target)
    return [name for name, has in zip(taught.categories, there, strict=True) if not has]
