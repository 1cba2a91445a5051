"""Tasks: which model answers, what teaches it, and how its answers are scored, one module a task.

Scores are those of `winnow metrics`: the same functions, given the same arrays.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from winnow.core.errors import ConfigError
from winnow.train.config import TASKS


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
