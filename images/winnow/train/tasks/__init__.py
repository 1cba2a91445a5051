"""Tasks: which model answers, what teaches it, and how its answers are scored, one module a task.

Scores are those of `winnow metrics`: the same functions, given the same arrays. A module has CEILING, inputs, build,
targets, terms, answers, score, each and table; and, where it differs from tasks of labelled seconds: sizes, closed and
fit (nothing is learned step by step), dealt (a control other than shuffled labels), check (of a split before it is
answered for), window and views (decoded clips), base, settled, arranged and raw (a run that stands on another one),
prepare (examples that are no rows of the release) and calibrated (val says how other splits are scored).
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from winnow.core.errors import ConfigError
from winnow.train import sets
from winnow.train.config import PAIRED, TASKS, TrainConfig
from winnow.train.sets import Examples


def task_module(task: str) -> ModuleType:
    """The module of a task; ConfigError where torch is not installed."""
    if task not in TASKS:
        raise ConfigError(f"there is no task {task!r}; there are {', '.join(TASKS)}")
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            "torch is not installed, and training needs it: `pip install 'winnow[model]'`, in a checkout `make models`"
        ) from error
    return import_module(f"winnow.train.tasks.{task.replace('-', '_')}")


def examples(folder: Path, task: str, config: TrainConfig, *, test: bool = True, every: bool = False) -> Examples:
    """What a task learns from and is tried on, of a release's folder: labelled clips, or for a task of pairs what the
    release keeps, and with `every` what it does not keep as well."""
    if task in PAIRED:
        from winnow.train import pairs

        return pairs.read(folder, every=every, leaks=config.allow_leaks, test=test)
    return sets.read(folder, task, family=config.family, half=config.half, leaks=config.allow_leaks, test=test)
