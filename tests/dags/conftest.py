"""Airflow for these tests: a home in a temporary folder, its DAGs described once, a scheduler over a stub `winnow`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dags.helpers import StubAirflow
from winnow.demo.airflow_local import DAGS, settings


@pytest.fixture(scope="session")
def airflow_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that imports Airflow."""
    return {**os.environ, **settings(tmp_path_factory.mktemp("airflow"), port=1)}


@pytest.fixture(scope="session")
def described(airflow_environment: dict[str, str]) -> dict:
    """What Airflow makes of the DAG folder: {"dags", "errors", "seconds", "modules"}."""
    script = Path(__file__).with_name("describe.py")
    done = subprocess.run(
        [sys.executable, str(script), str(DAGS)], env=airflow_environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubAirflow]:
    """A real Airflow whose tasks run the stub; three days have lists."""
    stub = StubAirflow(tmp_path_factory.mktemp("house"))
    try:
        stub.start()
        yield stub
    finally:
        stub.stop()
