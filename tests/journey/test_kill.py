"""`kill -9` of a stage at random moments, then a rerun: the tables are those of a run that nobody disturbed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

from tests.journey.conftest import DAYS
from tests.journey.house import House
from tests.world import World, WorldServer
from winnow.manifest import Manifest

STAGES = ("fetch", "clip", "probe", "visual", "audio")
KILLS_PER_STAGE = 2


def tables(house: House) -> dict[str, str]:
    """Digest of each committed table, and of the file that lies there, by stage and shard."""
    found = {}
    for path in sorted((house.root / "lake").glob("*/v=*/batch=*/*.json")):
        manifest = Manifest.loads(path.read_bytes())
        assert house.lake.read_table(manifest), "committed bytes differ from their manifest"
        found[f"{manifest.stage}/{manifest.shard}"] = manifest.sha256
    return found


def plan(house: House, day: str) -> None:
    """Everything before the stages, in small shards: many places to be killed between."""
    for step in (("ingest",), ("run", "screen"), ("decide",), ("plan", "--shard-size", "2")):
        house(*step, "--batch", day)


def test_killed_stages_resume_to_the_same_tables(
    fresh: House, tmp_path: Path, world: World, server: WorldServer
) -> None:
    day, chance = DAYS[0], random.Random(7)
    undisturbed = House(tmp_path / "undisturbed", world.root, server)
    plan(undisturbed, day)
    plan(fresh, day)
    killed = partial = 0
    for stage in STAGES:
        clock = time.monotonic()
        assert undisturbed.start("run", stage, "--batch", day).wait(timeout=120) == 0
        took_s = time.monotonic() - clock
        for _ in range(KILLS_PER_STAGE):
            before = len(tables(fresh))
            process = fresh.start("run", stage, "--batch", day)
            time.sleep(took_s * chance.uniform(0.2, 0.8))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            killed += process.wait(timeout=30) == -signal.SIGKILL
            partial += before < len(tables(fresh)) < len(tables(undisturbed))
        fresh("run", stage, "--batch", day)
    assert killed >= 5, "most kills came too late to disturb anything"
    assert partial >= 1, "no kill left a half-finished stage behind"
    assert tables(fresh) == tables(undisturbed)
