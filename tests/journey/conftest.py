"""One small world and one finished journey through it, shared by this folder's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journey.helpers import Deployment
from tests.world import World, WorldServer, make_world

#: Small, and still one of each plant.
PLANTS = {
    "mismatch": 4,
    "voice_over": 1,
    "music": 1,
    "silence": 1,
    "frozen": 1,
    "near_duplicate": 1,
    "same_uploader": 2,
    "no_audio": 1,
    "too_short": 1,
    "truncated": 1,
    "text_as_mp4": 1,
    "gone": 1,
    "refused": 1,
    "redirect": 1,
    "redirect_private": 2,
    "hang": 1,
    "html": 1,
}
DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
FITTED = DAYS[:2]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("world")
    return make_world(root, seed=11, videos=42, seconds=(5.0, 14.0), plants=PLANTS, kinds=True)


@pytest.fixture(scope="session")
def server(world: World) -> Iterator[WorldServer]:
    with WorldServer(world.root) as running:
        yield running


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory, world: World, server: WorldServer) -> Deployment:
    """Three batches curated, the scorer fitted on them, the batches scored and admitted, a release published."""
    deployment = Deployment(tmp_path_factory.mktemp("journey"), world.root, server)
    curate_all(deployment)
    deployment("release")
    return deployment


def curate_all(deployment: Deployment, days: tuple[str, ...] = DAYS, *options: str) -> None:
    """Measure the days in this order, fit on two of them, then score and admit them by date: the third has videos that
    the scorer does not know, as every later day has.

    The order of admission is an input of a release (which of two equal clips was first); no order before it is.
    """
    for day in days:
        deployment("curate", "--batch", day, *options)
    deployment("fit", "--batches", ",".join(FITTED))
    for day in sorted(days):
        deployment("curate", "--batch", day, *options)


@pytest.fixture
def fresh(tmp_path: Path, world: World, server: WorldServer) -> Deployment:
    """A deployment that has not run anything yet, over the same world."""
    deployment = Deployment(tmp_path, world.root, server)
    return deployment
