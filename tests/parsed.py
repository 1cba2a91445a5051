"""What tests of dbt share, whichever process asks first: what dbt parsed of its project, and the server that has
imported dbt (`tests/dbt_server.py`).

A release keeps what was parsed in its lake (`winnow.release.dbt_run`), and nearly every test has a lake of its own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tests import dbt_server
from winnow.release import dbt_run

#: Names the folder to the processes that share it.
FOLDER = "TESTS_PARSED"


def keep() -> None:
    """Make the folder, in the process that all others come from, and let each of them ask its server."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="winnow-tests-parsed-")
        os.environ[dbt_server.OWNER] = str(os.getpid())
        (Path(os.environ[FOLDER]) / "cache").mkdir()
    dbt_run.PROGRAM = dbt_server.program(os.environ[FOLDER])


def remove() -> None:
    """Take it away; the server ends with it."""
    shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


def share(lake: str | Path) -> None:
    """Let a lake on this machine read and keep it there."""
    cache = Path(lake) / "cache"
    if FOLDER in os.environ and not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.symlink_to(Path(os.environ[FOLDER]) / "cache")
