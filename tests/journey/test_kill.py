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


def test_killed_stages_resume_to_the_same_tables(
    fresh: House, tmp_path: Path, world: World, server: WorldServer
) -> None:
    day, chance = DAYS[0], random.Random(7)
    for step in (("ingest",), ("run", "screen"), ("decide",), ("plan", "--shard-size", "4")):
        fresh(*step, "--batch", day)
    killed = partial = 0
    for stage in STAGES:
        clock = time.monotonic()
        for _ in range(KILLS_PER_STAGE):
            before = len(tables(fresh))
            process = fresh.start("run", stage, "--batch", day)
            time.sleep(chance.uniform(0.3, 2.2))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            killed += process.wait(timeout=30) == -signal.SIGKILL
            partial += len(tables(fresh)) > before
        fresh("run", stage, "--batch", day)
        assert time.monotonic() - clock < 120
    assert killed >= 5, "most kills came too late to disturb anything"
    assert partial >= 1, "no kill left a half-finished stage behind"
    undisturbed = House(tmp_path / "undisturbed", world.root, server)
    for step in (("ingest",), ("run", "screen"), ("decide",), ("plan", "--shard-size", "4")):
        undisturbed(*step, "--batch", day)
    for stage in STAGES:
        undisturbed("run", stage, "--batch", day)
    assert tables(fresh) == tables(undisturbed)
