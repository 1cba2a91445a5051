"""`kill -9` of a stage at any moment and between two shards, then a rerun: the tables are those of a run that nobody
disturbed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import signal
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.journey.conftest import DAYS, curate_all
from tests.journey.helpers import Deployment
from tests.world import World, WorldServer
from winnow.core.manifest import Manifest
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs

STAGES = ("fetch", "clip", "probe", "visual", "audio")


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory, world: World, server: WorldServer) -> Deployment:
    """A deployment over the world of the journey, whose stages are killed."""
    return Deployment(tmp_path_factory.mktemp("disturbed"), world.root, server)


def manifests(deployment: Deployment) -> list[Path]:
    """What is committed."""
    return sorted((deployment.root / "lake").glob("*/v=*/batch=*/*.json"))


def rows(deployment: Deployment, stage: str) -> pa.Table:
    """What a stage measured of the first day, whatever shards it lies in."""
    lineage = Lineage(deployment.lake, DAYS[0], stage_needs())
    found = [lineage.committed(stage, number) for number in lineage.numbers(stage)]
    return pa.concat_tables(pq.read_table(io.BytesIO(deployment.lake.read_table(m))) for m in found).sort_by(
        "sample_id"
    )


def seconds(deployment: Deployment, stage: str) -> float:
    """How long a stage took over the first day, s."""
    paths = (deployment.root / "lake").glob(f"{stage}/v=*/batch={DAYS[0]}/*.json")
    return sum(Manifest.loads(path.read_bytes()).seconds for path in paths)


def plan(deployment: Deployment, day: str) -> None:
    """Everything before the stages, in small shards: many places to be killed between."""
    for step in (("ingest",), ("run", "screen"), ("decide",), ("plan", "--shard-size", "2")):
        deployment(*step, "--batch", day)


def kill_all(deployment: Deployment, undisturbed: Deployment) -> tuple[int, int]:
    """Run the stages over the first day in small shards, each killed twice before it may end: how many of the kills hit
    a stage at work, and how many stages were left half finished."""
    chance, killed, partial = random.Random(7), 0, 0
    plan(deployment, DAYS[0])
    for stage in STAGES:
        killed += kill_9(deployment, stage, after_s=seconds(undisturbed, stage) * chance.uniform(0.2, 0.8))
        before = len(manifests(deployment))
        killed += kill_9(deployment, stage, committed=before)
        made = len(manifests(deployment))
        deployment("run", stage, "--batch", DAYS[0])
        partial += before < made < len(manifests(deployment))
    return killed, partial


def at_work(deployment: Deployment, stage: str) -> bool:
    """Whether a process has taken a shard of the stage, first day."""
    return any((deployment.root / "lake").glob(f"{stage}/v=*/batch={DAYS[0]}/*.lock"))


def kill_9(deployment: Deployment, stage: str, after_s: float = 120.0, committed: int | None = None) -> bool:
    """Start a stage and kill it and all its processes a while after it began to work, or as soon as more than
    `committed` shards are; whether it was still at work.
    """
    process = deployment.start("run", stage, "--batch", DAYS[0])
    began = end = 0.0
    while process.poll() is None and not (began and time.monotonic() >= end):
        if not began and at_work(deployment, stage):
            began, end = time.monotonic(), time.monotonic() + after_s
        if committed is not None and len(manifests(deployment)) > committed:
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
def test_killed_stages_resume_to_the_same_tables(journey: Deployment, disturbed: Deployment) -> None:
    killed, partial = kill_all(disturbed, journey)
    assert killed >= 5, "most kills came too late to disturb anything"
    assert partial >= 1, "no kill left a half-finished stage behind"
    for stage in STAGES:
        assert rows(disturbed, stage).equals(rows(journey, stage)), stage


def test_a_second_journey_that_was_killed_publishes_the_same_bytes(journey: Deployment, disturbed: Deployment) -> None:
    """Days in another order, shards of other sizes, stages killed and done again."""
    if not manifests(disturbed):
        kill_all(disturbed, journey)
    curate_all(disturbed, tuple(reversed(DAYS)), "--shard-size", "5")
    disturbed("release")
    ours, theirs = journey.published(), disturbed.published()
    assert ours
    assert {n: hashlib.sha256(b).hexdigest() for n, b in ours.items()} == {
        n: hashlib.sha256(b).hexdigest() for n, b in theirs.items()
    }
    assert journey.release.name == disturbed.release.name
