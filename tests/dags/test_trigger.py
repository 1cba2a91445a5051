"""The trigger that owns a Job, against an API server whose answers are given."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

#: Scenarios mostly wait. They change what a process has one of (KUBECONFIG, patience), so as many processes play them.
PLAYERS = 2


@pytest.fixture(scope="module")
def answers(airflow_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    script = Path(__file__).with_name("ask_trigger.py")

    def play(first: int) -> dict[str, Any]:
        environment = {**airflow_environment, "KUBECONFIG": str(tmp_path_factory.mktemp("cluster") / "kubeconfig")}
        command = [sys.executable, str(script), str(first), str(PLAYERS)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    with ThreadPoolExecutor(PLAYERS) as players:
        found = {name: answer for played in players.map(play, range(PLAYERS)) for name, answer in played.items()}
    failed = {
        name: answer["failed"] for name, answer in found.items() if isinstance(answer, dict) and "failed" in answer
    }
    assert not failed, "\n".join(f"{name}:\n{why}" for name, why in failed.items())
    return found


def test_in_a_pod_its_own_account_is_the_way_to_the_cluster(answers: dict[str, Any]) -> None:
    answer = answers["in_a_pod"]
    assert answer["with_kubeconfig"] is False
    assert answer["found"] == ["https://10.0.0.1:443", "Bearer it's me"]
    assert answer["without_token"].startswith(
        "AirflowFailException: it: the triggerer does not know its cluster (Service"
    )


def test_a_restarted_triggerer_finds_the_job_of_its_attempt(answers: dict[str, Any]) -> None:
    answer = answers["adopted"]
    assert answer["says"].startswith("found Job ingest-2026-11-01-")
    assert (answer["ends"], answer["jobs"]) == (['summary {"rows": 1}'] * 2, 1)


def test_a_job_that_only_has_the_same_name_is_replaced(answers: dict[str, Any]) -> None:
    assert answers["another_of_the_name"] == [f'summary {{"rows": {rows}}}' for rows in range(3)]


def test_a_server_that_cannot_yet_is_asked_again(answers: dict[str, Any]) -> None:
    answer = answers["not_yet_created"]
    assert answer["ends"] == 'summary {"rows": 1}'
    assert ["resourcequotas" in answer["lines"][0], "401" in answer["lines"][1], "exceeded" in answer["lines"][2]] == [
        True
    ] * 3


def test_a_server_that_says_no_is_quoted(answers: dict[str, Any]) -> None:
    quota, rights, wrong = answers["never_created"]
    assert re.match(r"AirflowException: .*waited \d s for a place to run: 403 jobs.batch .*quota.yaml", quota)
    assert re.match(r'AirflowException: .*403 User "it" cannot create.*accounts.yaml', rights)
    assert wrong == "AirflowFailException: it: the cluster refuses it: 422 spec.template: Invalid value"


@pytest.mark.fault("a connection that breaks", "a pod's log", "goes on where it broke")
def test_a_log_goes_on_where_it_broke(answers: dict[str, Any]) -> None:
    answer = answers["a_log_that_breaks"]
    assert answer["lines"] == ["a", "b", "c", "c", "c", "d", '{"e": 1}', "f", "the last"]
    assert answer["asked"][0] is None
    assert answer["asked"][1] == "2026-11-01T00:00:02.500000000Z"
    assert answer["ends"] == 'summary {"rows": 1}'


def test_a_lost_nodes_pod_does_not_keep_the_next_ones_log(answers: dict[str, Any]) -> None:
    assert answers["a_log_of_two_pods"] == {"ends": 'summary {"rows": 1}', "lines": ["first", "second"]}


@pytest.mark.parametrize(
    ("reason", "kind", "says"),
    [
        ("config map", "AirflowException", ['CreateContainerConfigError configmap "winnow" not found', "k8s/overlays"]),
        ("image", "AirflowException", ["image it: ImagePullBackOff away", "Tried for"]),
        ("no image", "AirflowFailException", ["image it: ErrImageNeverPull", "make images"]),
        ("quota", "AirflowException", ["s for a place to run: FailedCreate: pods", "k8s/base/quota.yaml"]),
        ("security", "AirflowException", ["admits no such pod", "violates PodSecurity", "Tried for"]),
        ("mount", "AirflowException", ["s for its container", 'FailedMount: pvc "lake" not found']),
        ("nothing", "AirflowException", ["s for a place to run: no running pod"]),
        ("queue", "AirflowException", ["s: the Job waits in the queue gpus", "queues.yaml"]),
    ],
)
def test_a_job_that_waits_says_for_what_and_is_given_up(
    answers: dict[str, Any], reason: str, kind: str, says: list[str]
) -> None:
    ends, waited = answers["obstacles"]["answers"][reason]
    assert ends.startswith(f"{kind}: it")
    assert [part for part in says if part not in ends] == []
    assert waited
    assert answers["obstacles"]["left"] == []


def test_the_time_in_a_queue_does_not_count(answers: dict[str, Any]) -> None:
    assert answers["a_long_queue"] == 'summary {"rows": 1}'


def test_out_of_memory_is_retried_once_with_each_limit(answers: dict[str, Any]) -> None:
    once, twice = (
        r"AirflowException: .*its limit, {}.*One retry",
        r"AirflowFailException: .*its limit, {}.*no further retry",
    )
    for said, wanted in zip(
        answers["out_of_memory"], [(once, "1Gi"), (twice, "1Gi"), (once, "2Gi"), (twice, "2Gi")], strict=True
    ):
        assert re.match(wanted[0].format(wanted[1]), said)


def test_an_api_server_that_is_away_is_waited_for(answers: dict[str, Any]) -> None:
    assert answers["away_for_long"] == {"before": False, "ends": 'summary {"rows": 1}'}
    assert answers["ended_while_away"] == 'summary {"rows": 1}'
