"""What dbt parsed of its project: kept once for all lakes of a run of the tests, whichever process asks first.

A release keeps it in its lake (`winnow.release.dbt_run`), and nearly every test has a lake of its own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

#: Names the folder to the processes that share it.
FOLDER = "TESTS_PARSED"


def keep() -> None:
    """Make the folder, in the process that all others come from."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="winnow-tests-parsed-")


def remove() -> None:
    """Take it away."""
    shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


def share(lake: str | Path) -> None:
    """Let a lake on this machine read and keep it there."""
    cache = Path(lake) / "cache"
    if FOLDER in os.environ and not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.symlink_to(os.environ[FOLDER])
