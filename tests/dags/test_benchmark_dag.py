"""The DAG `benchmark`: features, sets, train and evaluate by cell, collect; by hand, and after a release that names
tasks."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from winnow.cli import learning
from winnow.core.settings import Settings
from winnow.train.config import PRESETS, TASKS


@pytest.fixture(scope="module")
def tasks(described: dict) -> dict[str, dict]:
    return described["dags"]["benchmark"]["tasks"]


def test_order_and_mapping(tasks: dict) -> None:
    for before, after in pairwise(["features", "sets", "train", "evaluate", "collect"]):
        assert after in tasks[before]["downstream"]
    assert {name for name, task in tasks.items() if task["mapped"]} == {"train", "evaluate"}


def test_its_commands_are_ones_that_winnow_has(tasks: dict) -> None:
    """Every option is known, and every task is the command of its name."""
    commands = {command.name: command for command in learning.COMMANDS}
    for name, task in tasks.items():
        assert task["arguments"][:2] == ["benchmark", name]
        known = {option for param in commands[name].params for option in param.opts}
        assert {a for a in task["arguments"] if a.startswith("--")} <= known, name
    of_all = {option for param in commands["all"].params for option in param.opts}
    of_steps = {option for name in ("features", "sets") for param in commands[name].params for option in param.opts}
    assert of_all == of_steps, "`all` takes what the steps take"


def test_params_offer_what_there_is(described: dict) -> None:
    params = described["dags"]["benchmark"]["params"]
    assert set(params) == {"release", "tasks", "models", "seeds", "preset"}
    assert params["tasks"]["items"]["enum"] == list(TASKS)
    assert sorted(params["preset"]["enum"]) == sorted(path.stem for path in PRESETS.glob("*.yaml"))
    assert json.dumps(params)


def test_a_release_is_benchmarked_where_the_deployment_names_tasks(described: dict) -> None:
    """And the benchmark starts no release: each would follow from the other for ever."""
    release, own = (described["dags"][name] for name in ("release", "benchmark"))
    assert release["tasks"]["publish"]["downstream"] == ["benchmark"]
    assert own["timetable"] == "NullTimetable"
    assert own["max_active_runs"] == 1
    assert all(task["outlets"] == [] for task in own["tasks"].values())
    assert Settings(benchmark_tasks="avel, parse").benchmark_tasks == ("avel", "parse")
    assert Settings(benchmark_tasks="").benchmark_tasks == ()
