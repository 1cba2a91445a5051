"""The DAG `score`: fits what it must, scores by what a run asks for, calibrates, and admits anew."""

from __future__ import annotations

import importlib.util
import json
import sys
from itertools import pairwise
from types import ModuleType

import pytest
from click.testing import CliRunner

from tests.dags.test_select_dag import reachable
from winnow.cli.calibrate import calibrate
from winnow.cli.corpus import cluster
from winnow.cli.main import fit
from winnow.core.stage import stage_class, stage_names
from winnow.demo.airflow_local import PLUGINS


@pytest.fixture(scope="module")
def score(described: dict) -> dict:
    return described["dags"]["score"]


def test_order_and_mapping(score: dict) -> None:
    tasks = score["tasks"]
    scorers = {"bridge", "two_tower", "ridge", "joint", "vgg19", "vggish"}
    for before, after in pairwise(["batches", "yamnet", "fit_ridge", "panns", "flag", "separate", "ridge"]):
        assert after in reachable(tasks, before)
    assert "fit_ridge" in tasks["efficientnet"]["downstream"]
    for last in ("rescore", *scorers):
        for before, after in pairwise(["batches", "fit", "panns", "flag", "separate", last, "calibrate", "gate"]):
            assert after in tasks[before]["downstream"]
    assert reachable(tasks, "batches") == set(tasks) - {"batches"}
    mapped = {name for name, task in tasks.items() if task["mapped"]}
    assert mapped == {"efficientnet", "yamnet", "panns", "flag", "separate", "rescore"} | scorers
    assert {name for name in stage_names() if stage_class(name).flow == "score"} == {"efficientnet", "yamnet"} | scorers


def test_only_the_gate_tells_the_release(score: dict) -> None:
    assert {name for name, task in score["tasks"].items() if task["outlets"]} == {"gate"}
    assert score["tasks"]["gate"]["outlets"] == ["winnow_batches"]
    assert score["timetable"] == "PartitionedAtRuntime"
    assert score["max_active_runs"] == 1


def test_its_commands_are_ones_that_winnow_has(score: dict) -> None:
    for task, command in (("batches", cluster), ("fit", fit), ("calibrate", calibrate)):
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        given = {a for a in score["tasks"][task]["arguments"] if a.startswith("--")}
        assert given <= known, task
    assert {"--if-unfitted", "--always"} <= {n for o in fit.params for n in (*o.opts, *o.secondary_opts)}
    assert CliRunner().invoke(fit, ["--help"]).exit_code == 0


def test_what_is_skipped_ends_nothing_after_it(score: dict) -> None:
    """A run that asks for `joint` alone skips the rest, and still separates, calibrates and admits."""
    for name, task in score["tasks"].items():
        plain = name in ("batches", "fit", "efficientnet", "yamnet", "fit_ridge", "separate", "rescore")
        assert task["trigger_rule"] == ("all_success" if plain else "none_failed_min_one_success"), name
    assert {"fit", "efficientnet", "yamnet", "panns", "flag", "calibrate", "gate"} <= set(
        score["tasks"]["batches"]["downstream"]
    )


def test_params_are_typed_and_said(score: dict) -> None:
    params = score["params"]
    assert set(params) == {"batches", "scorers", "refit", "seed", "stages"}
    assert set(params["scorers"]["items"]["enum"]) == {
        "panns",
        "efficientnet",
        "yamnet",
        "vgg19",
        "vggish",
        "bridge",
        "two_tower",
        "ridge",
        "joint",
    }
    assert json.dumps(params)


def pods() -> ModuleType:
    """plugins/winnow_pod.py, which imports no Airflow."""
    spec = importlib.util.spec_from_file_location("winnow_pod_of_score", PLUGINS / "winnow_pod.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_training_runs_where_torch_is_and_scoring_where_it_need_not_be() -> None:
    needs = pods().needs
    assert needs(["fit", "--scorer", "two_tower", "--batches", "a"]).image == "model"
    assert needs(["fit", "--batches", "a"]).image == "corpus"
    assert needs(["fit", "--scorer", "ridge", "--batches", "a"]).image == "corpus"
    assert {needs(["run", name, "--batch", "a"]).image for name in ("ridge", "efficientnet", "yamnet")} == {"media"}
    assert needs(["run", "two_tower", "--batch", "a"]).image == "media"
    assert needs(["run", "bridge", "--batch", "a"]).gpu == 1
