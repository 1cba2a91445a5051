"""The trigger that owns a Job, against an API server whose answers are given."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def answers(airflow_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    script = Path(__file__).with_name("ask_trigger.py")
    environment = {**airflow_environment, "KUBECONFIG": str(tmp_path_factory.mktemp("cluster") / "kubeconfig")}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
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
