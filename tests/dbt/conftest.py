"""Fixtures of the warehouse's tests: synthetic lakes, and releases built over them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.dbt.lake import Candidate, random_candidates, write_batch
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.release.build import build_release

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")


class Built:
    """A release's work folder, to be asked in SQL."""

    def __init__(self, work: Path, lake: Lake, settings: Settings) -> None:
        self.work, self.lake, self.settings = work, lake, settings

    def rows(self, query: str) -> list[tuple]:
        with duckdb.connect(str(self.work / "winnow.duckdb"), read_only=True) as con:
            return con.execute(query).fetchall()

    def tables(self) -> dict[str, bytes]:
        return {p.stem: p.read_bytes() for p in sorted((self.work / "tables").glob("*.parquet"))}

    def publish(self, release: str) -> None:
        """What `winnow publish` does, as far as the next build can see."""
        for table in ("splits", "fct_clips", "thresholds"):
            self.lake.write(f"releases/{release}/tables/{table}.parquet", self.tables()[table])
        self.lake.write("releases/current", release.encode())


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Built]:
    """Build a release over a lake; what dbt parsed is shared by all lakes of the session."""
    cache = tmp_path_factory.mktemp("cache")

    def run(lake: Lake, policy: str = "hash", threads: int = 2, dbt_dir: Path | None = None) -> Built:
        settings = Settings(lake=lake.root, **({"dbt_dir": dbt_dir} if dbt_dir else {}))
        work = tmp_path_factory.mktemp("work")
        if Path(lake.root).is_dir() and not lake.exists("cache"):
            Path(lake.full("cache")).symlink_to(cache)
        build_release(work, lake, settings, policy=policy, threads=threads)
        return Built(work, lake, settings)

    return run


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return Lake(tmp_path / "lake")


def three_days() -> list[list[Candidate]]:
    """Three days' lists with something of everything; uploaders and files come again on later days."""
    return [random_candidates(30, seed=1, day=day) for day in range(3)]


@pytest.fixture(scope="session")
def release(build: Callable[..., Built], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A release of three days, the first one of its lake."""
    lake = Lake(tmp_path_factory.mktemp("lake"))
    for seq, (day, candidates) in enumerate(zip(DAYS, three_days(), strict=True)):
        write_batch(lake, day, seq, candidates)
    return build(lake)
