"""Alone: one process at a time in a folder on a file system.

The kernel frees the lock of a process that dies, however it dies; what another process still holds of it (a child that
has not begun its own program yet) keeps it for a moment longer, so a lock is asked for that long."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: How long a lock of a process that died may be held still, and how often it is asked for, seconds.
LET_GO_S, ASKED_S = 2.0, 0.05


@contextmanager
def alone(lock: Path, busy: Exception, within_s: float = LET_GO_S) -> Iterator[None]:
    """Hold a lock file, which is made where it is not there (its folder is). Raises `busy` where another process holds
    it for longer than `within_s` seconds."""
    with lock.open("a") as file:
        until = time.monotonic() + within_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise busy from None
            time.sleep(ASKED_S)
        yield
