"""A deployment in a folder: its environment, and the `winnow` program in this process or in its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from tests import parsed
from tests.world import WorldServer
from winnow.cli.main import cli
from winnow.core import settings
from winnow.core.lake import Lake

CLI = [sys.executable, "-m", "winnow.cli"]


class Deployment:
    """One lake and one inbox, with a world's server to fetch from."""

    def __init__(
        self, root: Path, world: Path, server: WorldServer, monkeypatch: pytest.MonkeyPatch | None = None
    ) -> None:
        self.root, self.world = root, world
        self.environment = {
            "WINNOW_LAKE": str(root / "lake"),
            "WINNOW_INBOX": str(world / "inbox"),
            "WINNOW_FETCH_ALLOW_NETWORKS": "127.0.0.0/8",
            "WINNOW_FETCH_REWRITES": json.dumps(server.rewrites),
            "WINNOW_FETCH_TIMEOUT_S": "1.5",
            "WINNOW_FETCH_DEADLINE_S": "20",
        }
        self.lake = Lake(root / "lake")
        parsed.share(root / "lake")

    def __call__(self, *arguments: str) -> dict | str:
        """A command in this process; its answer, and its exit code in `code`. What it raises, the test sees."""
        saved = dict(os.environ)
        os.environ.update(self.environment)
        settings.load.cache_clear()
        try:
            done = CliRunner().invoke(cli, list(arguments), standalone_mode=False, catch_exceptions=False)
        finally:
            os.environ.clear()
            os.environ.update(saved)
            settings.load.cache_clear()
        self.code = done.exit_code
        out = done.stdout.strip()
        return json.loads(out.splitlines()[-1]) if arguments[0] != "sql" else out

    def start(self, *arguments: str) -> subprocess.Popen:
        """The same command as a process and a group of its own."""
        return subprocess.Popen(
            [*CLI, *arguments],
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def rows(self, query: str) -> list[dict]:
        """What `winnow sql` answers."""
        return json.loads(self("sql", query, "--format", "json"))

    @property
    def release(self) -> Path:
        """Folder of the published release."""
        return self.root / "lake/releases" / (self.root / "lake/releases/current").read_text().strip()

    def published(self) -> dict[str, bytes]:
        """Bytes of the published tables, by name."""
        return {p.name: p.read_bytes() for p in sorted((self.release / "tables").glob("*.parquet"))}

    def snapshot(self) -> duckdb.DuckDBPyConnection:
        """The published snapshot, as a reader opens it."""
        return duckdb.connect(str(self.release / "winnow.duckdb"), read_only=True)
