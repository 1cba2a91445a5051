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
    assert answers["runtime"].startswith("AirflowFailException: WINNOW_RUNTIME=kubernetes")
    assert "WINNOW_RUNTIME=local" in answers["runtime"]


def test_the_report_is_not_for_strangers(answers: dict) -> None:
    assert answers["stranger"] == 401
