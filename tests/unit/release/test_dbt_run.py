"""dbt ends with the process that started it, however that ended; one that is killed is an error that is tried again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from winnow.core.errors import EXIT_TRANSIENT, ContractError, TransientError
from winnow.core.settings import Settings
from winnow.release import dbt_run

PARENT = '''
import sys
from pathlib import Path
from winnow.core.settings import Settings
from winnow.release import dbt_run
WAIT = """
import os, time
from winnow.release.dbt_program import end_with_parent
end_with_parent()
print(os.getpid(), file=open("new", "w"))
os.rename("new", "pid")
time.sleep(600)
"""
dbt_run.PROGRAM = (sys.executable, "-c", WAIT)
dbt_run.run_dbt(["build"], Path(sys.argv[1]), Settings())
'''


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.fault("SIGTERM", "release", "dbt ends with it")
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal at a parent's death is Linux's")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_dbt_is_left_running(tmp_path: Path, how: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    deadline = time.monotonic() + 120
    while not (tmp_path / "pid").exists():
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child = int((tmp_path / "pid").read_text())
    try:
        assert _alive(child)
        parent.send_signal(how)
        parent.wait(60)
        while _alive(child) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _alive(child)
    finally:
        if _alive(child):
            os.kill(child, signal.SIGKILL)


@pytest.mark.fault("kill -9", "dbt", "said with its signal, exit code 75: tried again")
def test_a_killed_dbt_is_named_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(dbt_run, "PROGRAM", (sys.executable, "-c", killed))
    with pytest.raises(
        TransientError, match=r"dbt build was ended by signal SIGKILL, as the kernel does.*again"
    ) as told:
        dbt_run.run_dbt(["build"], tmp_path, Settings())
    assert told.value.exit_code == EXIT_TRANSIENT


def test_a_dbt_that_died_while_it_wrote_its_results_says_what_it_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "run_results.json").write_text('{"results": [')
    monkeypatch.setattr(dbt_run, "PROGRAM", (sys.executable, "-c", "import sys; sys.exit('out of luck')"))
    with pytest.raises(ContractError, match="dbt build failed:\nout of luck"):
        dbt_run.run_dbt(["build"], tmp_path, Settings())
