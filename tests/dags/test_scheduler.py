"""The DAGs under a real scheduler, with a stub in place of `winnow`: backfills, skips, retries, kills, assets.

The tests share one Airflow and follow one another, as days do.
"""

from __future__ import annotations

import contextlib
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import psutil
import pytest

from tests.dags.helpers import DAYS, EMPTY_DAY, StubAirflow
from winnow.demo.processes import running

#: What the DAG `score` brings up to date before it scores.
RECYCLED = ("flag", "separate", "rescore")


#: Tasks of a release that was published, in a deployment that names tasks of the benchmark.
RELEASED = {"build", "gate", "report", "publish", "benchmark"}


def successes(states: dict[tuple[str, int], str]) -> set[str]:
    """Tasks that succeeded."""
    return {task for (task, _), state in states.items() if state == "success"}


def backfilled(stub: StubAirflow) -> list[dict]:
    """Runs of `curate` by backfills, once as many as the last one made are over."""
    runs = [run for run in stub.api.runs("curate", "") if run["run_type"] == "backfill"]
    return runs if all(run["state"] in ("success", "failed") for run in runs) else []


def test_a_backfill_runs_each_day_up_to_the_score(stub: StubAirflow) -> None:
    stub.api.backfill("curate", DAYS[0], DAYS[1], parts=2)
    runs = stub.wait(lambda: backfilled(stub), 180)
    assert sorted(run["partition_key"] for run in runs) == list(DAYS[:2])
    states = stub.finished("curate", runs[0]["dag_run_id"])
    assert states[("fetch", 0)] == states[("fetch", 1)] == states[("audio", 1)] == "success"
    assert states[("separate", 0)] == states[("separate", 1)] == "success"
    assert states[("correspond", 0)] == states[("rescore", 0)] == "skipped"
    assert states[("gate", -1)] == "skipped"
    assert stub.events() == []
    fetches = [call for call in stub.calls() if call[:2] == ["run", "fetch"]]
    assert sorted((c[c.index("--batch") + 1], c[c.index("--part") + 1]) for c in fetches) == [
        (day, part) for day in DAYS[:2] for part in ("0", "1")
    ]
    assert all(c[c.index("--parts") + 1] == "2" for c in fetches)


def test_a_selection_from_an_empty_corpus_is_skipped(stub: StubAirflow) -> None:
    """So that the weekly run does not fail before the first batch is admitted."""
    states = stub.finished("select", stub.api.trigger("select"))
    assert set(states.values()) == {"skipped"}
    assert not (stub.lake / "selections").exists()
    states = stub.finished("score", stub.api.trigger("score"))
    assert set(states.values()) == {"skipped"}


def test_fit_scores_and_admits_all_its_batches_and_one_release_follows(stub: StubAirflow) -> None:
    run = stub.api.trigger("fit", batches=[DAYS[2], DAYS[0], DAYS[1]])
    states = stub.finished("fit", run)
    assert set(states.values()) == {"success"}
    assert len([task for task, _ in states if task == "correspond"]) == 3
    assert ["gate", "--batch", ",".join(DAYS)] in stub.calls()
    assert sorted(event["partition_key"] for event in stub.events()) == list(DAYS)
    releases = stub.wait(lambda: stub.api.runs("release", ""))
    assert len(releases) == 1
    assert successes(stub.finished("release", releases[0]["dag_run_id"])) == RELEASED


def test_a_finished_day_runs_again_and_the_release_finds_nothing_new(stub: StubAirflow) -> None:
    stub.api.backfill("curate", DAYS[0], DAYS[0])
    again = stub.wait(lambda: [r for r in backfilled(stub) if r["partition_key"] == DAYS[0]][1:])
    states = stub.finished("curate", again[0]["dag_run_id"])
    assert set(states.values()) == {"success"}
    assert stub.events()[-1]["partition_key"] == DAYS[0]
    last = stub.wait(lambda: stub.api.runs("release", "")[1:])[-1]
    states = stub.finished("release", last["dag_run_id"])
    assert set(states.values()) == {"skipped"}


def test_an_empty_day_skips_everything_and_triggers_nothing(stub: StubAirflow) -> None:
    before = stub.events()
    states = stub.finished("curate", stub.curate(EMPTY_DAY))
    assert set(states.values()) == {"skipped"}
    assert stub.events() == before


def test_mixtures_become_a_batch_that_is_rendered_part_by_part(stub: StubAirflow) -> None:
    before = stub.events()
    states = stub.finished("mix", stub.api.trigger("mix", parts=2, stages={"mix": {"rate_hz": 8000}}))
    assert states == {
        ("mixtures", -1): "success",
        ("mix", 0): "success",
        ("mix", 1): "success",
        ("gate", -1): "success",
    }
    calls = [call for call in stub.calls() if call[0] == "mix" or "mix-0123456789ab" in call]
    assert calls[0] == ["mix", "--release", "", "--shard-size", "64"]
    batch = ["--batch", "mix-0123456789ab"]
    assert sorted(call[:8] for call in calls[1:3]) == [
        ["run", "mix", *batch, "--part", part, "--parts", "2"] for part in ("0", "1")
    ]
    assert '{"rate_hz": 8000}' in calls[1]
    assert calls[3] == ["gate", *batch]
    assert stub.events() == before


def test_a_selection_clusters_assigns_gates_and_selects_and_a_release_follows(stub: StubAirflow) -> None:
    events, calls, releases = (len(found) for found in (stub.events(), stub.calls(), stub.api.runs("release", "")))
    run = stub.api.trigger("select", batches=[DAYS[2], DAYS[0]], clusters=8, stages={"cluster": {}})
    states = stub.finished("select", run)
    keys = f"{DAYS[0]},{DAYS[2]}"
    assert {state for (task, _), state in states.items() if task in ("open_clip", "panns", *RECYCLED)} == {"skipped"}
    assert successes(states) == {"batches", "centres", "cluster", "gate", "select"}
    assert {index for task, index in states if task == "cluster"} == {0, 1}
    made = [call for call in stub.calls()[calls:] if call[0] in ("cluster", "run", "gate", "select")]
    assert made[0][:4] == ["cluster", "--dry-run", "--batches", keys]
    assert made[1][:3] == ["cluster", "--batches", keys]
    assert made[1][made[1].index("--clusters") + 1] == "8"
    assert "--refit" in made[1]
    assert sorted(call[:4] for call in made[2:4]) == [["run", "cluster", "--batch", day] for day in (DAYS[0], DAYS[2])]
    assert made[4] == ["gate", "--batch", keys]
    assert made[5][:3] == ["select", "--batches", keys]
    assert "--from-scratch" in made[5]
    assert sorted(event["partition_key"] for event in stub.events()[events:]) == [DAYS[0], DAYS[2]]
    release = stub.wait(lambda: stub.api.runs("release", "")[releases:])[-1]
    assert successes(stub.finished("release", release["dag_run_id"])) == RELEASED


def test_a_selection_that_goes_on_keeps_its_centres_and_pretrained_layers_come_first(stub: StubAirflow) -> None:
    calls = len(stub.calls())
    states = stub.finished("select", stub.api.trigger("select", incremental=True, pretrained=True))
    assert set(states.values()) == {"success"}
    made = stub.calls()[calls:]
    ran = [call[1] for call in made if call[0] == "run"]
    assert sorted(ran) == sorted(["cluster", "open_clip", "panns", "separate", "rescore"] * 3)
    centres = next(call for call in made if call[0] == "cluster" and "--dry-run" not in call)
    assert "--keep" in centres
    assert centres[centres.index("--visual") + 1 :][:3] == ["open_clip", "--audio", "panns"]
    assert max(i for i, c in enumerate(made) if c[1] in ("open_clip", "panns")) < made.index(centres)
    assert "--incremental" in next(call for call in made if call[0] == "select")


@pytest.mark.parametrize(
    ("scorers", "done"),
    [
        (["bridge"], {"batches", "panns", *RECYCLED, "bridge", "calibrate", "gate"}),
        (["two_tower", "joint"], {"batches", "fit", *RECYCLED, "two_tower", "joint", "calibrate", "gate"}),
        (["panns"], {"batches", "panns", *RECYCLED, "gate"}),
        (["ridge"], {"batches", "efficientnet", "yamnet", "fit_ridge", *RECYCLED, "ridge", "calibrate", "gate"}),
    ],
)
def test_a_run_scores_by_what_it_asks_for_and_admits_the_batches_anew(
    stub: StubAirflow, scorers: list[str], done: set[str]
) -> None:
    events, calls = (len(found) for found in (stub.events(), stub.calls()))
    states = stub.finished("score", stub.api.trigger("score", batches=[DAYS[1]], scorers=scorers))
    assert successes(states) == done
    assert {state for (task, _), state in states.items() if task not in done} <= {"skipped"}
    made = stub.calls()[calls:]
    assert ["gate", "--batch", DAYS[1]] in made
    ran = [call[1] if call[0] == "run" else call[0] for call in made]
    tagger = {"two_tower": [], "ridge": ["yamnet"]}.get(scorers[0], ["panns"])
    order = [*tagger, "decide", "separate", "rescore", "gate"]
    assert [name for name in ran if name in order] == order, "what is newly flagged is separated before it is released"
    named = [call[call.index("--scorers") + 1] for call in made if call[0] == "calibrate"]
    assert named == ([] if scorers == ["panns"] else [",".join(sorted(scorers))])
    assert [event["partition_key"] for event in stub.events()[events:]] == [DAYS[1]]


def test_a_release_is_benchmarked_cell_by_cell(stub: StubAirflow) -> None:
    calls = len(stub.calls())
    stub.api.unpause("benchmark")
    run = stub.wait(lambda: stub.api.runs("benchmark", ""))[0]
    states = stub.finished("benchmark", run["dag_run_id"])
    assert set(states.values()) == {"success"}
    assert {(task, index) for task, index in states if index >= 0} == {
        (task, index) for task in ("train", "evaluate") for index in (0, 1)
    }
    made = [call for call in stub.calls()[calls:] if call[0] == "benchmark"]
    what = ["--models", "", "--preset", "demo"]
    assert made[0] == ["benchmark", "features", "--release", "", "--tasks", "", *what]
    assert made[1] == ["benchmark", "sets", "--release", "ab12", "--tasks", "avel", *what, "--seeds", "3"]
    trained = sorted(call for call in made[: len(states)] if call[1] == "train")
    assert trained == [
        ["benchmark", "train", "--plan", "p1", "--cell", cell, "--preset", "demo"] for cell in ("a/0", "b/0")
    ]
    assert made[len(states) - 1] == ["benchmark", "collect", "--plan", "p1"]


def test_the_latest_report_is_in_airflows_navigation(stub: StubAirflow) -> None:
    views = [view for plugin in stub.api.get("plugins")["plugins"] for view in plugin["external_views"]]
    href = next(view["href"] for view in views if view["name"] == "Report")
    release = stub.lake / "releases" / "0123456789ab"
    release.mkdir(parents=True)
    (release / "manifest.json").write_text("{}")
    (release / "report.html").write_text("<title>what was published</title>")
    with pytest.raises(HTTPError, match="404"):
        urlopen(stub.api.url + href)
    (stub.lake / "releases" / "current").write_text("0123456789ab\n")
    assert b"what was published" in urlopen(stub.api.url + href).read()


def test_a_permanent_error_fails_at_once(stub: StubAirflow) -> None:
    (stub.lake / "exit-decide").write_text("65")
    calls = len(stub.calls())
    run = stub.api.trigger("curate", batch=DAYS[0])  # without a partition, as the UI's button does
    states = stub.finished("curate", run)
    (stub.lake / "exit-decide").unlink()
    assert ["ingest", "--batch", DAYS[0]] in stub.calls()[calls:]
    assert states[("decide", -1)] == "failed"
    assert states[("gate", -1)] == "upstream_failed"
    tasks = stub.api.tasks({"dag_id": "curate", "dag_run_id": run})
    assert next(t for t in tasks if t["task_id"] == "decide")["try_number"] == 1


def test_a_cleared_task_is_killed_and_a_transient_error_is_retried(stub: StubAirflow) -> None:
    (stub.lake / "hang-decide").touch()
    run = stub.curate(DAYS[1])

    def stubs() -> list[psutil.Process]:
        found = []
        for process in running(stub.root):
            with contextlib.suppress(psutil.NoSuchProcess):  # it may end between the list and the look
                if process.cmdline()[-5:-4] == ["decide"]:
                    found.append(process)
        return found

    process = stub.wait(stubs)[0]
    assert process.is_running()
    body = {"dry_run": False, "dag_run_id": run, "task_ids": ["decide"], "only_failed": False, "reset_dag_runs": True}
    stub.api.send("POST", "dags/curate/clearTaskInstances", body)
    psutil.wait_procs([process], timeout=10)
    assert not process.is_running()
    (stub.lake / "exit-decide").write_text("75")
    (stub.lake / "hang-decide").unlink()
    path = f"dags/curate/dagRuns/{quote(run)}/taskInstances/decide"
    task = stub.wait(lambda: (t := stub.api.get(path))["state"] == "up_for_retry" and t)
    assert task["try_number"] == 2
