"""What the plugins do with exit codes, other runtimes and strangers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def answers(airflow_environment: dict[str, str]) -> dict:
    script = Path(__file__).with_name("ask_plugins.py")
    done = subprocess.run(
        [sys.executable, str(script)], env=airflow_environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_exit_codes_become_retries_or_failures(answers: dict) -> None:
    assert answers["failures"] == {
        **dict.fromkeys(("64", "65", "70", "78"), "AirflowFailException"),
        **dict.fromkeys(("1", "2", "75", "79", "137", "-9", "-15"), "AirflowException"),
    }
    assert "SIGKILL" in answers["killed"]


def test_another_runtime_is_refused_in_words(answers: dict) -> None:
    assert answers["runtime"] == "AirflowFailException: WINNOW_RUNTIME=moon: it is local or kubernetes"


def test_a_task_is_skipped_unless_it_is_asked_for(answers: dict) -> None:
    said = answers["chosen"]
    assert [line.split()[0] for line in said] == ["skipped", "runs", "skipped"]
    assert "names none of panns, bridge" in said[0]


@pytest.mark.parametrize(
    ("end", "kind", "says"),
    [
        ("contract", "AirflowFailException", ["exit code 65", "a retry would repeat it", "ContractError: no"]),
        ("transient", "AirflowException", ["exit code 75", "a retry may help"]),
        ("crash", "AirflowException", ["exit code 139", "The pod left no log"]),
        ("oom", "AirflowException", ["its limit, 1Gi", "OOMKilled", "One retry"]),
        ("oom again", "AirflowFailException", ["killed so before: no further retry", "memory_mb"]),
        ("deadline", "AirflowException", ["still running at its deadline", "finished shards are kept"]),
        ("pod gone", "AirflowException", ["left no exit code"]),
        ("image", "AirflowException", ["said the cluster", "Is it pushed", "7 s"]),
        ("no image", "AirflowFailException", ["make images", "WINNOW_TAG"]),
        ("quota", "AirflowException", ["waited 7 s", "k8s/base/quota.yaml"]),
        ("no gpu", "AirflowException", ["waited 7 s", "add nodes"]),
        ("deleted", "AirflowException", ["Job clip-2026-11-01-p0-0123abcd-1", "finished shards are skipped"]),
    ],
)
def test_each_end_of_a_job_says_what_happened_and_what_to_do(
    answers: dict, end: str, kind: str, says: list[str]
) -> None:
    found = answers["outcomes"][end]
    assert found.startswith(f"{kind}: `winnow run clip`")
    assert [part for part in says if part not in found] == []


def test_a_job_that_is_done_hands_over_its_summary(answers: dict) -> None:
    assert json.loads(answers["outcomes"]["done"]) == {"rows": 3}
    assert json.loads(answers["outcomes"]["long answer"]) == {"rows": 4}


def test_a_job_ends_by_its_own_deadline_before_airflow_stops_waiting(answers: dict) -> None:
    """Also when it is created late, because a quota was full, or has waited a day in a queue."""
    waits, queued = answers["deferred"], answers["queued"]
    assert waits["timeout_s"] > waits["deadline_s"] + 1800
    assert queued["timeout_s"] == waits["timeout_s"] + 24 * 3600
    assert waits["instance"] == "00000000-0000-0000-0000-000000000007"


def test_the_explorer_is_for_those_who_are_logged_in(answers: dict) -> None:
    assert answers["explorer"]["stranger"] == [401] * 4
    assert answers["explorer"]["known"] == 200  # no release in this lake: its batches
    assert "winnow release" in answers["explorer"]["says"]
    assert "<b>Ann</b>" in answers["explorer"]["says"]
    assert "<b>Ann</b>" not in answers["explorer"]["everybody"]  # where all are one admin, a login says nothing


def test_the_report_is_not_for_strangers(answers: dict) -> None:
    assert answers["stranger"] == 401
