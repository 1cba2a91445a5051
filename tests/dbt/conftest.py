"""Fixtures of the warehouse's tests: synthetic lakes, and releases built over them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests import parsed
from tests.dbt import fates
from tests.dbt.building import building
from tests.dbt.lake import Candidate, random_candidates, write_batch
from tests.unit.mixed import Mixed, mixture, publish
from tests.unit.signals import moving_square, mp4, sine
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.gates import gate_batch
from winnow.release.build import build_release
from winnow.release.scorers import trust

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
        self.lake.write(f"releases/{release}/manifest.json", b"{}")
        self.lake.write("releases/current", release.encode())


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Built]:
    """Build a release over a lake."""

    def run(lake: Lake, policy: str = "hash", threads: int = 2, dbt_dir: Path | None = None) -> Built:
        settings = Settings(lake=lake.root, **({"dbt_dir": dbt_dir} if dbt_dir else {}))
        work = tmp_path_factory.mktemp("work")
        parsed.share(lake.root)
        build_release(work, lake, settings, policy=policy, threads=threads)
        return Built(work, lake, settings)

    return run


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    parsed.share(tmp_path / "lake")
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


@pytest.fixture(scope="session")
def grown(build: Callable[..., Built], tmp_path_factory: pytest.TempPathFactory) -> tuple[Built, Built]:
    """Two releases of one lake with the same days: of the first day, published, while the others were admitted; then of
    all three, with a batch of rendered mixtures beside them. The first day was admitted before there were compact
    tables."""
    lake, work = Lake(tmp_path_factory.mktemp("grown")), tmp_path_factory.mktemp("work") / "first"
    begun, *others = [(day, seq, rows) for seq, (day, rows) in enumerate(zip(DAYS, three_days(), strict=True))]
    write_batch(lake, *begun)
    with building(lake, work):
        for batch in others:
            write_batch(lake, *batch, compacted=True)
    first = Built(work, lake, Settings(lake=lake.root))
    clips = {name: mp4(moving_square(0.5), sine(0.5, hz, -20)) for name, hz in (("one", 400), ("two", 700))}
    publish(lake, "aaaa", clips, [mixture("one", "two"), mixture("one", "gone")])
    gate_batch([Mixed(lake).batch], first.settings, lake)
    first.publish("one")  # instead of the release that was made up for the mixtures
    return first, build(lake)


@pytest.fixture(scope="session")
def fated(build: Callable[..., Built], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A release of two days in which every fate is met once (tests/dbt/fates.py)."""
    lake = Lake(tmp_path_factory.mktemp("fated"))
    listed = [*fates.TOLD.values(), *fates.BOUNDS, *fates.OWNED, *fates.flagged()]
    head = write_batch(lake, DAYS[0], 0, listed, admit=False) | {"quarantined": fates.ASIDE}
    lake.write(f"batches/{DAYS[0]}.json", json.dumps(head).encode())
    write_batch(lake, DAYS[1], 1, [fates.AGAIN, fates.COPY, fates.TORN, fates.NEW, *fates.scored()])
    for model, card in fates.CARDS.items():
        lake.write(lake.model_key("correspond", model, "json"), json.dumps(card).encode())
    trust(lake, "trusted", fates.BECAUSE)
    return build(lake)
