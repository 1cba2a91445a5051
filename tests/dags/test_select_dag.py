"""The DAG `select`: features, centres, assignments, gate, selection, in this order, and only then the event."""

from __future__ import annotations

import json
from itertools import pairwise

from click.testing import CliRunner

from winnow.cli.corpus import cluster, select


def reachable(tasks: dict[str, dict], start: str) -> set[str]:
    """All tasks after one."""
    after = set(tasks[start]["downstream"])
    return after | {later for task in after for later in reachable(tasks, task)}


def test_order_and_mapping(described: dict) -> None:
    tasks = described["dags"]["select"]["tasks"]
    for before, after in pairwise(["batches", "open_clip", "centres", "cluster", "gate", "select"]):
        assert after in tasks[before]["downstream"]
    assert "centres" in tasks["rescore"]["downstream"]
    assert reachable(tasks, "batches") == set(tasks) - {"batches"}
    assert {name for name, task in tasks.items() if task["mapped"]} == {
        "open_clip",
        "panns",
        "flag",
        "separate",
        "rescore",
        "cluster",
    }


def test_release_follows_the_selection_and_not_the_gate(described: dict) -> None:
    tasks = described["dags"]["select"]["tasks"]
    assert tasks["select"]["outlets"] == ["winnow_batches"]
    assert tasks["gate"]["outlets"] == []
    assert [name for name, task in tasks.items() if not task["downstream"]] == ["select"]


def test_it_never_listens_to_what_it_says(described: dict) -> None:
    """It admits batches, so a schedule on admitted batches would start it for ever."""
    dag = described["dags"]["select"]
    assert dag["timetable"] == "CronPartitionTimetable"
    assert not dag["catchup"]
    assert dag["max_active_runs"] == 1


def test_its_commands_are_ones_that_winnow_has(described: dict) -> None:
    """Every option of the command lines is known, and takes what the DAG gives it."""
    tasks = described["dags"]["select"]["tasks"]
    for task, command in (("batches", cluster), ("centres", cluster), ("select", select)):
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        given = {a for a in tasks[task]["arguments"] if a.startswith("--")}
        assert given <= known, task
    assert {"--incremental", "--from-scratch"} <= {n for o in select.params for n in (*o.opts, *o.secondary_opts)}
    assert CliRunner().invoke(cluster, ["--help"]).exit_code == 0


def test_params_are_typed_and_said(described: dict) -> None:
    params = described["dags"]["select"]["params"]
    assert set(params) == {
        "batches",
        "pretrained",
        "clusters",
        "share",
        "among",
        "pairing",
        "method",
        "preset",
        "incremental",
        "seed",
        "stages",
    }
    assert json.dumps(params)
    for name, option in (("method", "method"), ("among", "among"), ("preset", "preset")):
        offered = next(o for o in select.params for n in o.opts if n == f"--{option}").type.choices
        assert params[name]["enum"] == list(offered)
