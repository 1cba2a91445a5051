"""A lake to gate, and settings of a gate: with all suites, or with a few of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from winnow.core.lake import Lake
from winnow.core.settings import Settings


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def settings(lake) -> Settings:
    """All suites: seconds for each batch."""
    return Settings(lake=lake.root)


@pytest.fixture
def few(tmp_path: Path, lake: Lake) -> Callable[..., Settings]:
    """Settings of a gate with some of the batch's suites, for tests of what a gate does rather than of what it asks."""

    def of(*suites: str) -> Settings:
        real, project = Settings().dbt_dir, tmp_path / "project"
        (project / "gx" / "batch").mkdir(parents=True)
        (project / "seeds").mkdir()
        shutil.copy(real / "seeds" / "thresholds.csv", project / "seeds")
        for suite in suites:
            shutil.copy(real / "gx" / "batch" / f"{suite}.yml", project / "gx" / "batch")
        return Settings(lake=lake.root, dbt_dir=project)

    return of
