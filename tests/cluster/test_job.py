"""The life of a Job on a real cluster: every way it may end, and what is left of it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

import winnow_job
import winnow_pod
from tests.cluster.helpers import NAMESPACE, get, kubectl, wait
from tests.cluster.jobs import container, make, runs, see_through

ANSWER = (
    "import json,os;open(os.environ['WINNOW_RESULT'],'w').write(json.dumps({'rows': 3}));print('a line for people')"
)


def test_a_job_that_succeeds_hands_over_its_answer_and_its_log(kubeconfig: Path) -> None:
    event = see_through(make(["ingest", "--batch", "2026-11-01"], runs(ANSWER)), kubeconfig)
    assert (event["outcome"], event["exit_code"]) == ("complete", 0)
    assert event["tail"] == ["a line for people"]
    assert winnow_job.outcome(event, "it") == {"rows": 3}


@pytest.mark.parametrize(("code", "kind"), [(65, AirflowFailException), (75, AirflowException), (1, AirflowException)])
def test_exit_codes_decide_and_the_log_is_there(kubeconfig: Path, code: int, kind: type[Exception]) -> None:
    event = see_through(make(["plan"], runs(f"import sys;print('the reason');sys.exit({code})")), kubeconfig)
    with pytest.raises(kind, match=rf"exit code {code}(.|\n)*the reason") as raised:
        winnow_job.outcome(event, "it")
    assert type(raised.value) is kind


def test_a_second_start_of_an_attempt_adopts_its_job(kubeconfig: Path) -> None:
    job = make(["plan"], runs("import time;print('once');time.sleep(6)"))

    async def again(trigger: winnow_job.JobTrigger) -> None:
        await asyncio.sleep(3)
        twin = winnow_job.JobTrigger(trigger.job)
        async for event in twin.run():
            assert event.payload["outcome"] == "complete"

    assert see_through(job, kubeconfig, meanwhile=again)["outcome"] == "complete"
    pods = get("pods", "-l", f"job-name={job['metadata']['name']}")
    assert len(pods) == 1


def test_a_job_that_only_has_the_same_name_is_replaced(kubeconfig: Path) -> None:
    """As after a run was deleted and made again: its task's first attempt finds the name taken."""
    job = make(["plan"], runs("print('old')"))
    assert see_through(job, kubeconfig)["tail"] == ["old"]
    runs("print('new')")(job)
    job["metadata"]["annotations"][winnow_pod.INSTANCE] = "another attempt"
    assert see_through(job, kubeconfig)["tail"] == ["new"]


def test_a_killed_task_leaves_no_job(kubeconfig: Path) -> None:
    job = make(["plan"], runs("import time;time.sleep(300)"))
    name = job["metadata"]["name"]

    async def kill(trigger: winnow_job.JobTrigger) -> None:
        await asyncio.sleep(4)
        await trigger.on_kill()

    assert see_through(job, kubeconfig, meanwhile=kill)["outcome"] == "gone"
    wait(lambda: name not in kubectl("-n", NAMESPACE, "get", "jobs,pods", "-o", "name"), "the Job and its pod go", 90)


def test_a_new_attempt_ends_the_one_before(kubeconfig: Path) -> None:
    first = make(["plan"], runs("import time;time.sleep(300)"), task="same")
    kubectl("create", "--validate=false", "-f", "-", stdin=json.dumps(first))
    second = make(["plan"], runs("print('mine')"), task="same", number=2)
    assert see_through(second, kubeconfig)["outcome"] == "complete"
    wait(lambda: first["metadata"]["name"] not in kubectl("-n", NAMESPACE, "get", "jobs", "-o", "name"), "it goes", 40)


@pytest.mark.fault("no memory", "a pod", "one retry, then a failure that names the limit and where to raise it")
def test_out_of_memory_is_retried_once(kubeconfig: Path) -> None:
    greedy = runs("x = bytearray(400 << 20); x[::4096] = b'1' * len(x[::4096])")

    def small(job: dict) -> None:
        greedy(job)
        container(job)["resources"]["limits"]["memory"] = container(job)["resources"]["requests"]["memory"] = "64Mi"

    first = see_through(make(["plan"], small, task="greedy"), kubeconfig)
    with pytest.raises(AirflowException, match=r"more memory than its limit, 64Mi.*One retry") as raised:
        winnow_job.outcome(first, "it")
    assert type(raised.value) is AirflowException
    second = see_through(make(["plan"], small, task="greedy", number=2), kubeconfig)
    with pytest.raises(AirflowFailException, match="no further retry"):
        winnow_job.outcome(second, "it")


def test_an_image_that_is_not_there(kubeconfig: Path) -> None:
    def other(job: dict) -> None:
        container(job).update(image="localhost/winnow/nothing:none", imagePullPolicy="Never")

    job = make(["plan"], other)
    event = see_through(job, kubeconfig)
    with pytest.raises(
        AirflowFailException, match=r"localhost/winnow/nothing:none: ErrImageNeverPull(.|\n)*make images"
    ):
        winnow_job.outcome(event, "it")
    wait(lambda: job["metadata"]["name"] not in kubectl("-n", NAMESPACE, "get", "jobs", "-o", "name"), "it goes", 40)


def test_a_gpu_that_no_node_has(kubeconfig: Path) -> None:
    def gpu(job: dict) -> None:
        container(job)["resources"]["limits"]["nvidia.com/gpu"] = "1"

    event = see_through(make(["plan"], gpu), kubeconfig, pending_s=4)
    with pytest.raises(AirflowException, match=r"Insufficient nvidia.com/gpu(.|\n)*add nodes"):
        winnow_job.outcome(event, "it")


def test_a_quota_that_is_full(kubeconfig: Path) -> None:
    def huge(job: dict) -> None:
        for kind in ("requests", "limits"):
            container(job)["resources"][kind]["nvidia.com/gpu"] = "99"

    event = see_through(make(["plan"], huge), kubeconfig, pending_s=4)
    with pytest.raises(AirflowException, match=r"exceeded quota(.|\n)*k8s/base/quota.yaml"):
        winnow_job.outcome(event, "it")


@pytest.mark.fault("an endless computation", "a pod", "its deadline ends it")
def test_a_deadline(kubeconfig: Path) -> None:
    def short(job: dict) -> None:
        runs("import time;print('begun');time.sleep(300)")(job)
        job["spec"]["activeDeadlineSeconds"] = 5

    event = see_through(make(["plan"], short), kubeconfig)
    with pytest.raises(AirflowException, match="still running at its deadline"):
        winnow_job.outcome(event, "it")


@pytest.mark.fault("a lost node or pod", "the cluster", "costs no attempt, or is a retry")
def test_a_deleted_pod_costs_no_attempt_or_is_a_retry(kubeconfig: Path) -> None:
    """An old server gives the Job another pod, a new one fails the Job: a task survives either."""
    job = make(["plan"], runs("import time;time.sleep(8);print('done')"))
    name = job["metadata"]["name"]

    async def delete(trigger: winnow_job.JobTrigger) -> None:
        await asyncio.sleep(4)
        kubectl(
            "-n", NAMESPACE, "delete", "pod", "-l", f"job-name={name}", "--grace-period=0", "--force", "--wait=false"
        )

    event = see_through(job, kubeconfig, meanwhile=delete)
    if event["outcome"] == "failed":
        with pytest.raises(AirflowException):
            winnow_job.outcome(event, "it")
    else:
        assert event["outcome"] == "complete"


@pytest.mark.fault("an API server that is away", "the cluster", "ridden out")
@pytest.mark.skipif("WINNOW_TEST_OUTAGE" not in os.environ, reason="WINNOW_TEST_OUTAGE says how to take the API away")
def test_an_api_server_that_is_away_is_ridden_out(kubeconfig: Path) -> None:
    """For the minute that is promised, in which the Job ends."""
    job = make(["plan"], runs("import time;print('begun');time.sleep(12);print('done')"))

    async def outage(trigger: winnow_job.JobTrigger) -> None:
        await asyncio.sleep(5)
        subprocess.run(shlex.split(os.environ["WINNOW_TEST_OUTAGE"]), check=True, timeout=60)
        await asyncio.sleep(60)
        await asyncio.to_thread(
            subprocess.run, shlex.split(os.environ["WINNOW_TEST_RETURN"]), check=True, timeout=120, capture_output=True
        )

    event = see_through(job, kubeconfig, meanwhile=outage)
    assert event["outcome"] == "complete"
    assert event["tail"][-1] == "done"
