"""Which processes are the demo's, and their end.

Every process that the demo starts inherits one environment variable naming the demo's folder. Airflow starts some in
sessions of their own and a killed parent leaves orphans, so process groups and pid files miss some; the environment
misses none, and needs no bookkeeping that could be stale.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

MARK = "WINNOW_DEMO_DIR"
#: From TERM to KILL, s. Nothing is lost by a KILL: SQLite and the lake both commit atomically.
GRACE_S = 5.0


def marked_environment(folder: Path) -> dict[str, str]:
    """What to add to the environment of everything the demo starts."""
    # setproctitle, which Airflow uses, writes over a process's environment unless told not to.
    return {MARK: str(folder.resolve()), "SPT_NOENV": "1"}


def running(folder: Path) -> list[psutil.Process]:
    """The demo's living processes, without this one."""
    mark, found = str(folder.resolve()), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(MARK) == mark:
                found.append(process)
    return found


def end(folder: Path, grace_s: float = GRACE_S) -> int:
    """End all of the demo's processes, and what they start meanwhile: TERM, then KILL. Returns how many there were."""
    first = running(folder)
    _send(first, "terminate")
    psutil.wait_procs(first, timeout=grace_s)
    while left := running(folder):
        _send(left, "kill")
        psutil.wait_procs(left, timeout=1.0)
    return len(first)


def _send(processes: list[psutil.Process], method: str) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            getattr(process, method)()
