"""What Airflow's account may do in the cluster, and what the server says of every manifest and Job."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import winnow_pod
from tests.cluster.helpers import NAMESPACE, ROOT, kubectl
from tests.contracts.test_kubernetes import ATTEMPT, COMMANDS


def may(kubeconfig: Path, verb: str, resource: str, namespace: str = NAMESPACE) -> bool:
    done = subprocess.run(
        ["kubectl", "--kubeconfig", str(kubeconfig), "auth", "can-i", verb, resource, "-n", namespace],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip() == "yes"


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("create", "jobs"),
        ("get", "jobs"),
        ("list", "jobs"),
        ("watch", "jobs"),
        ("delete", "jobs"),
        ("list", "pods"),
        ("watch", "pods"),
        ("get", "pods/log"),
        ("list", "events"),
        ("watch", "events"),
    ],
)
def test_airflow_may_do_its_work(kubeconfig: Path, verb: str, resource: str) -> None:
    assert may(kubeconfig, verb, resource)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("create", "pods"),
        ("create", "pods/exec"),
        ("delete", "pods"),
        ("get", "configmaps"),
        ("patch", "jobs"),
        ("create", "rolebindings"),
        ("get", "nodes"),
        ("impersonate", "users"),
    ],
)
def test_airflow_may_do_nothing_else(kubeconfig: Path, verb: str, resource: str) -> None:
    assert not may(kubeconfig, verb, resource)


@pytest.mark.parametrize(
    ("verb", "resource"), [("list", "jobs"), ("create", "jobs"), ("get", "pods"), ("list", "events")]
)
def test_airflow_may_not_reach_another_namespace(kubeconfig: Path, verb: str, resource: str) -> None:
    assert not may(kubeconfig, verb, resource, "default")
    assert not may(kubeconfig, verb, resource, "kube-system")


def test_the_server_takes_every_job(shared: Path) -> None:
    """A dry run on the real server, strict where it can be (an older server does not know newer fields)."""
    cluster = winnow_pod.Cluster.from_environment()
    jobs = [winnow_pod.job(arguments, ATTEMPT, cluster) for arguments in COMMANDS]
    for number, job in enumerate(jobs):
        job["metadata"]["name"] += f"-{number}"
    answer = kubectl(
        "create",
        "--dry-run=server",
        "--validate=false",
        "-f",
        "-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": jobs}),
    )
    assert len(answer.splitlines()) == len(jobs)
    assert all("created (server dry run)" in line for line in answer.splitlines())


@pytest.mark.parametrize("overlay", ["local", "prod"])
def test_the_server_takes_every_manifest(shared: Path, overlay: str) -> None:
    answer = kubectl("apply", "--dry-run=server", "--validate=false", "-k", str(ROOT / "k8s" / "overlays" / overlay))
    assert len(answer.splitlines()) > 10
    assert all("(server dry run)" in line for line in answer.splitlines())


def test_a_stages_pod_has_no_token(shared: Path) -> None:
    pod = winnow_pod.pod_template(winnow_pod.Needs("base"), winnow_pod.Cluster.from_environment())
    assert pod["spec"]["automountServiceAccountToken"] is False
    for verb, resource in (("get", "pods"), ("list", "secrets"), ("create", "jobs")):
        answer = kubectl(
            "auth",
            "can-i",
            verb,
            resource,
            "-n",
            NAMESPACE,
            f"--as=system:serviceaccount:{NAMESPACE}:winnow-stage",
            check=False,
        )
        assert answer.strip() == "no"
