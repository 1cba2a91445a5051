"""The command line: one JSON line for the caller, exit codes that say whether a retry can help, and a fast start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def winnow(lake: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program as a process of its own over an empty deployment."""
    variables = {"WINNOW_LAKE": str(lake / "lake"), "WINNOW_INBOX": str(lake / "inbox"), **environment}
    return subprocess.run(
        [sys.executable, "-m", "winnow.cli", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "nonesuch", "--batch", "day"), 78, "there is no stage 'nonesuch'"),
        (("run", "probe", "--batch", "../day"), 78, "cannot name a batch"),
        (("ingest", "--batch", ""), 78, "no batch is named"),
        (("run", "probe", "--batch", "day", "--params", "[1]"), 78, "a JSON object is wanted"),
        (("run", "probe", "--batch", "day", "--part", "2", "--parts", "2"), 78, "parts count from 0"),
        (("run", "probe", "--batch", "day", "--retry-reasons", "gone"), 78, "cannot retry gone"),
        (("run", "probe", "--batch", "day", "--retry-reasons", "tired"), 78, "transient reasons are"),
        (("run", "probe", "--batch", "day"), 65, "winnow ingest --batch day"),
        (("plan", "--batch", "day"), 65, "winnow decide --point fetch --batch day"),
        (("nonesuch",), 78, "No such command"),
        (("sql", "select 1"), 78, "winnow release"),
    ],
)
def test_what_went_wrong_is_said_with_its_exit_code(tmp_path: Path, arguments: tuple, code: int, message: str) -> None:
    done = winnow(tmp_path, *arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_wrong_environment_names_its_variable(tmp_path: Path) -> None:
    done = winnow(tmp_path, "ingest", "--batch", "day", WINNOW_FETCH_RATE="often")
    assert done.returncode == 78
    assert "WINNOW_FETCH_RATE" in done.stderr


def test_the_last_line_is_json(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    done = winnow(tmp_path, "ingest", "--batch", "2026-11-01")
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1]) == {"batch": "2026-11-01", "empty": True}


@pytest.mark.parametrize("command", ["ingest", "curate"])
def test_a_refused_list_ends_the_command_after_its_answer(tmp_path: Path, command: str) -> None:
    day = tmp_path / "inbox/2026-11-01"
    day.mkdir(parents=True)
    (day / "a.csv").write_text("name\nsomething\n")
    done = winnow(tmp_path, command, "--batch", "2026-11-01")
    assert done.returncode == 65
    answer = json.loads(done.stdout.splitlines()[-1])
    (told,) = (answer if command == "ingest" else answer["ingest"])["lists"]
    assert told["list"] == "a.csv"
    assert told["refused"].startswith("no column names a video")
    assert done.stderr.splitlines()[-1] == "Nothing was read of: a.csv"
