"""The DAGs parse, fast and lightly, and are wired as they say."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from winnow.batch.curate import stages_after
from winnow.cli import docs
from winnow.core.stage import stage_class, stage_names, stage_needs, stage_optional_needs
from winnow.demo.airflow_local import DAGS, PLUGINS

FILES = sorted(DAGS.glob("*.py"))


def reachable(tasks: dict[str, dict], start: str) -> set[str]:
    """All tasks after one."""
    after = set(tasks[start]["downstream"])
    return after | {later for task in after for later in reachable(tasks, task)}


def test_every_file_is_one_dag_of_its_name(described: dict) -> None:
    assert described["errors"] == {}
    assert len(FILES) >= 3
    assert sorted(described["dags"]) == [path.stem for path in FILES]


def test_parsing_is_fast_and_imports_nothing_heavy(described: dict) -> None:
    assert described["seconds"] < 1.0  # of CPU: a busy machine changes nothing
    heavy = {"numpy", "pandas", "pyarrow", "duckdb", "av", "sklearn", "dbt", "great_expectations"}
    assert not (heavy | {"kubernetes", "kubernetes_asyncio"}) & set(described["modules"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dag_file_is_short_and_only_wiring(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) < 100
    imported = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported <= {"__future__", "airflow", "winnow_stage"}


def test_stages_are_tasks_of_their_name(described: dict) -> None:
    """Law 9: the tasks that run a stage are named after it, and each stage has its task in the DAG that it names, which
    runs no other stage but those that its own read, and, where it flags clips, those that follow from the flags."""
    running = {
        dag: {name: t["arguments"][1] for name, t in found["tasks"].items() if t["arguments"][:1] == ["run"]}
        for dag, found in described["dags"].items()
    }
    assert all(name == stage for tasks in running.values() for name, stage in tasks.items())
    flows = {name: stage_class(name).flow for name in stage_names()}
    for dag in sorted(set(flows.values())):
        own = {name for name, flow in flows.items() if flow == dag}
        read = {need for name in own for need in (*stage_needs()[name], *stage_optional_needs()[name])}
        recycled = set(stages_after("flag")) if "flag" in described["dags"][dag]["tasks"] else set()
        assert own <= set(running[dag]) <= own | read | recycled, dag


def test_who_tags_anew_separates_what_is_then_flagged(described: dict) -> None:
    """Otherwise the release that follows drops every clip that is newly flagged, as covered."""
    tagging = {dag for dag, found in described["dags"].items() if "panns" in found["tasks"]}
    assert tagging == {"score", "select"}
    for dag in tagging:
        tasks = described["dags"][dag]["tasks"]
        for before, after in pairwise(["panns", "flag", *stages_after("flag")]):
            assert after in tasks[before]["downstream"], dag
        assert "gate" in reachable(tasks, "rescore"), dag
        flag, others = (described["dags"][name]["tasks"]["flag"]["arguments"][:-1] for name in (dag, "curate"))
        assert flag == others == ["decide", "--point", "separate", "--batch"]


def test_a_stage_comes_after_what_it_needs(described: dict) -> None:
    for name, needs in stage_needs().items():
        flow = stage_class(name).flow
        tasks = described["dags"][flow]["tasks"]
        for need in needs:
            if flow == "curate" or need in tasks:
                assert name in reachable(tasks, need), f"{name} must come after {need}"
        for want in stage_optional_needs()[name]:
            if want in tasks and want != name:
                assert name in reachable(tasks, want), f"{name} must come after {want}"


def test_curate_ends_with_the_gate_and_maps_over_parts(described: dict) -> None:
    tasks = described["dags"]["curate"]["tasks"]
    assert [name for name, task in tasks.items() if not task["downstream"]] == ["gate"]
    assert tasks["gate"]["outlets"] == ["winnow_batches"]
    assert reachable(tasks, "ingest") == set(tasks) - {"ingest"}
    mapped = {name for name, task in tasks.items() if task["mapped"]}
    assert mapped == reachable(tasks, "plan") - {"flag", "gate"}


def test_clips_are_flagged_and_separated_before_a_scorer_is_fitted(described: dict) -> None:
    """`correspond` is skipped until then, and a task after a skipped one is skipped too."""
    tasks = described["dags"]["curate"]["tasks"]
    assert "flag" not in reachable(tasks, "correspond")
    assert {"tags", "flag", "separate"} <= reachable(tasks, "clip")


@pytest.mark.parametrize(
    ("dag", "order"),
    [
        ("curate", ["ingest", "screen", "decide", "plan", "fetch", "clip", "visual", "correspond", "gate"]),
        ("curate", ["clip", "tags", "flag", "separate", "rescore", "gate"]),
        ("fit", ["fit", "correspond", "rescore", "gate"]),
        ("fit", ["fit", "calibrate", "gate"]),
        ("release", ["build", "gate", "report", "approve", "publish"]),
        ("mix", ["mixtures", "mix", "gate"]),
    ],
)
def test_order(described: dict, dag: str, order: list[str]) -> None:
    tasks = described["dags"][dag]["tasks"]
    for before, after in pairwise(order):
        assert after in tasks[before]["downstream"]


def test_timetables(described: dict) -> None:
    dags = described["dags"]
    assert dags["curate"]["timetable"] == "CronPartitionTimetable"
    assert not dags["curate"]["catchup"]
    assert dags["release"]["timetable"] == "PartitionedAssetTimetable"
    assert dags["release"]["max_active_runs"] == 1


def test_every_dag_says_what_it_is_and_who_owns_it(described: dict) -> None:
    pools = json.loads((PLUGINS / "pools.json").read_text())
    for name, dag in described["dags"].items():
        assert len(dag["doc_md"]) > 200, name
        assert "winnow" in dag["tags"]
        for param, schema in dag["params"].items():
            assert "type" in schema or "enum" in schema, f"{name}.{param} has no type"
        for task in dag["tasks"].values():
            assert task["owner"] == "winnow"
            assert task["retries"] >= 1
            assert task["pool"] in pools or not task["arguments"]


def test_the_readme_is_what_the_dags_say() -> None:
    assert docs.README.read_text(encoding="utf-8") == docs.dags_readme(), "run `make docs`"
