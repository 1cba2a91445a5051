"""The steps of a release: each once, in one folder, one release at a time; a failing gate stops it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.published import fill
from winnow.core.errors import ContractError, GateFailed
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.release import in_bucket, publish
from winnow.release import steps as releases


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def pipeline(lake, monkeypatch):
    """`release` with dbt, gate and report replaced: what is tested is the order, the work folder and the lock."""
    ran: list[str] = []
    state = {"generation": 1, "gate": True, "key": "one"}

    def build(work, lake, settings, policy):
        ran.append("dbt")
        fill(work, state["generation"])
        (work / "report.html").unlink()
        (work / "gates" / "release.json").unlink()
        return {"batches": ["b"]}

    def gate(work, lake, settings, policy):
        ran.append("gate")
        draft = releases.Draft.read(work, policy)
        (work / "gates").mkdir(exist_ok=True)
        (work / "gates" / "release.json").write_text(json.dumps({"passed": state["gate"]}))
        if not state["gate"]:
            raise GateFailed("planted")
        return {"release": draft.release, "already": False}

    def report(work, lake, settings, policy):
        ran.append("report")
        (work / "report.html").write_text("<p>")
        return {"release": releases.Draft.read(work, policy).release, "already": False}

    monkeypatch.setattr(
        releases, "build_release", lambda work, lake, settings, policy: build(work, lake, settings, policy)
    )
    monkeypatch.setattr(releases, "input_key", lambda lake, settings, policy: f"{state['key']}-{policy}")
    monkeypatch.setitem(releases._STEPS, "gate", gate)
    monkeypatch.setitem(releases._STEPS, "report", report)
    return ran, state


def test_all_steps_run_once_and_published_content_costs_nothing(lake, pipeline):
    ran, state = pipeline
    first = releases.release(lake, Settings())
    assert ran == ["dbt", "gate", "report"]
    assert (first["already"], publish.current(lake)) == (False, first["release"])
    assert [n for n in lake.list("releases/.work") if n.startswith("run-")] == []
    again = releases.release(lake, Settings())
    assert (again["already"], again["release"], ran) == (True, first["release"], ["dbt", "gate", "report"])
    state.update(generation=2, key="two")
    second = releases.release(lake, Settings())
    assert (second["already"], second["before"]) == (False, first["release"])
    # The first content again: its tables are published, but they are not what is current.
    state.update(generation=1, key="one")
    assert releases.release(lake, Settings())["release"] == first["release"] == publish.current(lake)
    assert ran.count("dbt") == 3


def test_separate_steps_share_one_folder(lake, pipeline):
    ran, state = pipeline
    with pytest.raises(ContractError, match="winnow release build --policy hash"):
        releases.release(lake, Settings(), step="gate")
    ran.clear()
    built = releases.release(lake, Settings(), step="build")
    state.update(generation=9, key="nine")  # something is admitted meanwhile: what was built is what is published
    for step in ("gate", "report", "publish"):
        done = releases.release(lake, Settings(), step=step)
        assert done["release"] == built["release"]
    assert publish.current(lake) == built["release"]
    assert ran == ["dbt", "gate", "report"]
    assert releases.release(lake, Settings(), step="build")["already"] is False


def test_a_failing_gate_stops_the_release(lake, pipeline):
    ran, state = pipeline
    state["gate"] = False
    with pytest.raises(GateFailed):
        releases.release(lake, Settings())
    assert ran == ["dbt", "gate"]
    assert publish.current(lake) is None
    releases.release(lake, Settings(), step="build")
    with pytest.raises(GateFailed):
        releases.release(lake, Settings(), step="gate")
    releases.release(lake, Settings(), step="report")
    with pytest.raises(ContractError, match="did not pass"):
        releases.release(lake, Settings(), step="publish")
    assert publish.current(lake) is None


@pytest.mark.fault("inputs that change meanwhile", "release", "not remembered as built from them")
def test_inputs_that_change_while_dbt_runs_are_not_remembered(lake, pipeline, monkeypatch):
    ran, state = pipeline
    build = releases.build_release

    def admitted_meanwhile(*args, **kwargs):
        state["key"] = "two"
        return build(*args, **kwargs)

    monkeypatch.setattr(releases, "build_release", admitted_meanwhile)
    releases.release(lake, Settings())
    state["key"] = "one"
    assert releases.release(lake, Settings(), step="build")["already"] is False
    assert ran.count("dbt") == 2


@pytest.mark.fault("two writers", "release", "the second one is told who works; leftovers of a dead one are swept")
def test_one_release_at_a_time_and_leftovers_are_swept(lake, pipeline):
    root = Path(lake.full("releases/.work"))
    (root / "run-left").mkdir(parents=True)
    hold = "import sys, time\nfrom winnow.core.lake import Lake\nfrom winnow.release.steps import one_writer\n"
    hold += "with one_writer(Lake(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    holder = subprocess.Popen([sys.executable, "-c", hold, lake.root], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        waiter = subprocess.Popen(
            [sys.executable, "-c", hold.replace("time.sleep(60)", "pass"), lake.root],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert "waiting" in waiter.stderr.readline()
        assert waiter.poll() is None
        holder.kill()  # the kernel frees the lock of a killed process
        assert waiter.communicate(timeout=30)[0] == "held\n"
    finally:
        holder.kill()
        holder.wait()
    began = time.monotonic()
    releases.release(lake, Settings())
    assert time.monotonic() - began < 30
    assert not (root / "run-left").exists()


def test_steps_hand_their_work_on_through_a_store(pipeline, tmp_path, monkeypatch):
    """As in pods: nothing is left on the machine between them; what a killed step had not handed on is made again."""
    monkeypatch.setenv("WINNOW_SCRATCH", str(tmp_path / "scratch"))
    ran, _ = pipeline
    lake = Lake(f"memory://steps-{tmp_path.name}")
    with pytest.raises(ContractError, match="winnow release build --policy hash"):
        releases.release(lake, Settings(), step="gate")
    ran.clear()
    for step in releases.STEPS:
        done = releases.release(lake, Settings(), step=step)
        assert list((tmp_path / "scratch" / "runs").iterdir()) == []
        if step == "gate":
            shutil.rmtree(tmp_path / "scratch")  # another machine
    assert (ran, done["already"], publish.current(lake)) == (["dbt", "gate", "report"], False, done["release"])
    assert publish.report_path(lake).read_text() == "<p>"
    assert releases.release(lake, Settings(), step="publish")["already"] is True
    assert releases.release(lake, Settings(), step="build")["already"] is True
    assert releases.release(lake, Settings())["release"] == done["release"]
    assert ran == ["dbt", "gate", "report"]


@pytest.mark.parametrize("lost", ["gates/release.json", "draft.json"])
def test_what_a_step_left_and_is_gone_is_named(pipeline, tmp_path, monkeypatch, lost):
    monkeypatch.setenv("WINNOW_SCRATCH", str(tmp_path / "scratch"))
    lake = Lake(f"memory://lost-{tmp_path.name}")
    for step in ("build", "gate"):
        releases.release(lake, Settings(), step=step)
    shutil.rmtree(tmp_path / "scratch")  # another machine
    files = json.loads(lake.read("releases/.work/steps-hash.json"))["files"]
    lake.remove(in_bucket.by_content(lost, files[f"steps-hash/{lost}"]))
    with pytest.raises(ContractError, match=f"steps-hash/{lost} of what the step before left is gone: run `winnow rel"):
        releases.release(lake, Settings(), step="report")


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.fault("kill -9", "publish, after the release is current", "the release is there, and the rerun says so")
@pytest.mark.parametrize("at", ["before it is noted", "before the folder is removed"])
def test_a_publish_that_was_killed_before_it_cleaned_up_can_be_repeated(lake, pipeline, monkeypatch, at):
    for step in ("build", "gate", "report"):
        built = releases.release(lake, Settings(), step=step)

    where, name = (Path, "write_text") if at == "before it is noted" else (releases.shutil, "rmtree")
    real = getattr(where, name)

    def killed(path, *args, **kwargs):
        if Path(path).name in ("publish", "manifest.json"):  # what `publish` assembles before
            return real(path, *args, **kwargs)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(where, name, killed)
        with pytest.raises(Killed):
            releases.release(lake, Settings(), step="publish")
    assert publish.current(lake) == built["release"]
    again = releases.release(lake, Settings(), step="publish")
    assert (again["release"], publish.current(lake)) == (built["release"], built["release"])


def test_a_current_that_names_nothing_is_no_release_to_go_on_from(lake, pipeline):
    done = releases.release(lake, Settings())
    os.rename(done["folder"], f"{done['folder']}-away")
    with pytest.raises(ContractError, match=r"releases/current names .*, and no such release lies beside it"):
        releases.release(lake, Settings())


@pytest.mark.fault(
    "changed, cut or missing files", "`releases/current`", "no release begins anew; `verify` names the one to write"
)
def test_no_release_begins_anew_beside_others(lake, pipeline):
    _, state = pipeline
    for generation in (1, 2):
        state.update(generation=generation, key=str(generation))
        releases.release(lake, Settings())
    lake.remove("releases/current")
    with pytest.raises(ContractError, match=r"releases/current is not there, and releases are: run `winnow verify"):
        releases.release(lake, Settings())


@pytest.mark.fault("a torn or empty file", "a release's draft", "named; the release is built again")
@pytest.mark.parametrize("torn", [b"", b'{"release": "a', b"[]", b"{}"])
def test_a_torn_draft_is_named(lake, pipeline, torn):
    releases.release(lake, Settings(), step="build")
    (Path(lake.full("releases/.work/steps-hash")) / "draft.json").write_bytes(torn)
    with pytest.raises(ContractError, match=r"draft.json is cut short or damaged.*winnow release build --policy hash"):
        releases.release(lake, Settings(), step="gate")
