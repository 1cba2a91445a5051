"""A lock is held by one process at a time, and soon free when its holder dies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from winnow.core.alone import alone
from winnow.core.errors import ConfigError

HOLDS = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); "


def holder(lock: Path, then: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDS + then, lock], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_lock_that_is_let_go_within_the_time_is_taken(tmp_path: Path) -> None:
    with holder(tmp_path / "lock", "time.sleep(0.3)") as process, alone(tmp_path / "lock", ConfigError("busy")):
        assert process.wait(10) == 0


def test_a_lock_that_stays_held_is_refused_with_the_callers_words(tmp_path: Path) -> None:
    with holder(tmp_path / "lock", "time.sleep(60)") as process:
        with pytest.raises(ConfigError, match="busy"), alone(tmp_path / "lock", ConfigError("busy"), within_s=0.1):
            pass
        process.kill()


def test_what_fails_inside_is_not_asked_again(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError), alone(tmp_path / "lock", ConfigError("busy")):
        raise BlockingIOError
    with alone(tmp_path / "lock", ConfigError("busy"), within_s=0):
        pass
