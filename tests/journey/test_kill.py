"""`kill -9` of a stage at any moment and between two shards, then a rerun: the tables are those of a run that nobody
disturbed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.journey.conftest import DAYS
from tests.journey.house import House
from tests.world import World, WorldServer
from winnow.core.manifest import Manifest

STAGES = ("fetch", "clip", "probe", "visual", "audio")


def manifests(house: House) -> list[Path]:
    """What is committed."""
    return sorted((house.root / "lake").glob("*/v=*/batch=*/*.json"))


def tables(house: House) -> dict[str, str]:
    """Digest of each committed table, and of the file that lies there, by stage and shard."""
    found = {}
    for path in manifests(house):
        manifest = Manifest.loads(path.read_bytes())
        assert house.lake.read_table(manifest), "committed bytes differ from their manifest"
        found[f"{manifest.stage}/{manifest.shard}"] = manifest.sha256
    return found


def plan(house: House, day: str) -> None:
    """Everything before the stages, in small shards: many places to be killed between."""
    for step in (("ingest",), ("run", "screen"), ("decide",), ("plan", "--shard-size", "2")):
        house(*step, "--batch", day)


def kill_9(house: House, stage: str, after_s: float = 120.0, committed: int | None = None) -> bool:
    """Start a stage and kill it and all its processes after a while, or as soon as more than `committed` shards are;
    whether it was still at work.
    """
    process = house.start("run", stage, "--batch", DAYS[0])
    end = time.monotonic() + after_s
    while process.poll() is None and time.monotonic() < end:
        if committed is not None and len(manifests(house)) > committed:
            break
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait(timeout=30) == -signal.SIGKILL


@pytest.mark.fault(
    "kill -9",
    "fetch, clip, probe, visual, audio: at any moment, and between two shards",
    "what is committed stays; the rerun computes the rest to the same bytes",
)
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
        killed += kill_9(fresh, stage, after_s=took_s * chance.uniform(0.2, 0.8))
        before = len(manifests(fresh))
        killed += kill_9(fresh, stage, committed=before)
        partial += before < len(tables(fresh)) < len(tables(undisturbed))
        fresh("run", stage, "--batch", day)
    assert killed >= 5, "most kills came too late to disturb anything"
    assert partial >= 1, "no kill left a half-finished stage behind"
    assert tables(fresh) == tables(undisturbed)
