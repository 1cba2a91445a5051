"""Prints, as JSON, what the plugins answer to questions that need no scheduler; run where Airflow may be imported."""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace
from unittest import mock
from uuid import UUID

sys.path.insert(0, os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"])

from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from fastapi.testclient import TestClient

import winnow_job
import winnow_stage
import winnow_ui


def refused_runtime() -> str:
    """The message for a runtime that is not there."""
    os.environ["WINNOW_RUNTIME"] = "moon"
    try:
        winnow_stage.on_kubernetes()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def outcomes() -> dict[str, str]:
    """What a Job's ends become in Airflow."""
    end = {"job": "clip-2026-11-01-p0-0123abcd-1", "message": "said the cluster", "waited_s": 7, "memory": "1Gi"}
    events = {
        "done": {"outcome": "complete", "exit_code": 0, "termination": '{"rows": 3}'},
        "long answer": {"outcome": "complete", "exit_code": 0, "termination": '{"cut', "tail": ["log", '{"rows": 4}']},
        "contract": {"outcome": "failed", "exit_code": 65, "tail": ["Traceback", "ContractError: no"]},
        "transient": {"outcome": "failed", "exit_code": 75, "tail": ["TransientError"]},
        "crash": {"outcome": "failed", "exit_code": 139, "tail": []},
        "oom": {"outcome": "failed", "exit_code": 137, "oom": True, "oom_before": False},
        "oom again": {"outcome": "failed", "exit_code": 137, "oom": True, "oom_before": True},
        "deadline": {"outcome": "failed", "reason": "DeadlineExceeded", "exit_code": None},
        "pod gone": {"outcome": "failed", "exit_code": None},
        "image": {"outcome": "image"},
        "no image": {"outcome": "image_never"},
        "quota": {"outcome": "quota"},
        "no gpu": {"outcome": "unschedulable"},
        "deleted": {"outcome": "gone"},
    }
    found = {}
    for name, event in events.items():
        try:
            found[name] = json.dumps(winnow_job.outcome({**end, **event}, "`winnow run clip`"))
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def deferred(**environment: str) -> dict[str, object]:
    """How a task waits for its Job."""
    operator = winnow_stage.command("ingest", "--batch", "2026-11-01")
    task = SimpleNamespace(dag_id="curate", run_id="r", task_id="ingest", map_index=None, try_number=1, id=UUID(int=7))
    settings = {"WINNOW_RUNTIME": "kubernetes", "WINNOW_TAG": "0123456789ab", **environment}
    with mock.patch.dict(os.environ, settings):
        try:
            operator.execute({"ti": task})
        except TaskDeferred as waits:
            job = waits.trigger.job
            return {
                "timeout_s": waits.timeout.total_seconds(),
                "deadline_s": job["spec"]["activeDeadlineSeconds"],
                "instance": job["metadata"]["annotations"]["winnow/instance"],
            }
    return {}


def explorer() -> dict[str, object]:
    """What the explorer answers to a stranger, and whom it takes a logged-in user for."""
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.api_fastapi.core_api import security

    paths = ["/explorer/", "/explorer/rate", "/explorer/clips/" + "0" * 20, "/explorer/assets/style.css"]
    stranger = TestClient(winnow_ui.Pages())
    refused = [stranger.get(path).status_code for path in paths]
    security.get_user = lambda: SimpleAuthManagerUser(username="Ann", role="viewer")
    everybody = TestClient(winnow_ui.Pages()).get("/explorer/").text
    os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] = "False"
    known = TestClient(winnow_ui.Pages()).get("/explorer/")
    return {"stranger": refused, "known": known.status_code, "says": known.text, "everybody": everybody}


def chosen() -> list[str]:
    """What a task does that runs for `panns` or `bridge`, when a run asks for these scorers."""
    found = []
    for scorers in (["joint"], ["bridge", "joint"], []):
        try:
            winnow_stage.unless_chosen("scorers", "panns", "bridge")({"params": {"scorers": scorers}})
            found.append("runs")
        except AirflowSkipException as skipped:
            found.append(f"skipped {skipped}")
    return found


def main() -> None:
    """Ask, print."""
    codes = [1, 2, 64, 65, 70, 75, 78, 79, 137, -9, -15]
    answer = {
        "failures": {code: type(winnow_stage.failure(code, "it")).__name__ for code in codes},
        "killed": str(winnow_stage.failure(-9, "it")),
        "runtime": refused_runtime(),
        "chosen": chosen(),
        "outcomes": outcomes(),
        "deferred": deferred(WINNOW_PENDING_S="1800"),
        "queued": deferred(WINNOW_PENDING_S="1800", WINNOW_QUEUE="winnow"),
        "stranger": TestClient(winnow_ui.Pages()).get("/report").status_code,
        "explorer": explorer(),
    }
    print("\n" + json.dumps(answer))


if __name__ == "__main__":
    main()
