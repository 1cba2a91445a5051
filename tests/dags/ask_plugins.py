"""Prints, as JSON, what the plugins answer to questions that need no scheduler; run where Airflow may be imported."""

from __future__ import annotations

import json
import os
import sys

sys.path.insert(0, os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"])

from fastapi.testclient import TestClient

import winnow_stage
import winnow_ui


def refused_runtime() -> str:
    """The message for a runtime that is not there."""
    os.environ["WINNOW_RUNTIME"] = "kubernetes"
    try:
        winnow_stage.stage("probe")._require_runtime()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def main() -> None:
    """Ask, print."""
    codes = [1, 2, 64, 65, 70, 75, 78, 79, 137, -9, -15]
    answer = {
        "failures": {code: type(winnow_stage.failure(code, "it")).__name__ for code in codes},
        "killed": str(winnow_stage.failure(-9, "it")),
        "runtime": refused_runtime(),
        "stranger": TestClient(winnow_ui.Pages()).get("/report").status_code,
    }
    print("\n" + json.dumps(answer))


if __name__ == "__main__":
    main()
