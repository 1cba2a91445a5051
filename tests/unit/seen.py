"""A small published release whose clips can be seen and heard: four kept ones, and a snapshot of their table."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.unit import exported, synthetic
from winnow.core.lake import Lake

PLACES = (0, 1, 2, 3, 4)


def build(root: Path) -> Lake:
    """The lake, its release current: clips 0 to 2 in train, 4 in val; 3 is dropped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exported, "content", synthetic.mp4)
        lake = exported.build(root, PLACES)
    folder = Path(lake.full(f"releases/{exported.RELEASE}"))
    with duckdb.connect(str(folder / "winnow.duckdb")) as con:
        con.execute(f"CREATE TABLE fct_clips AS FROM '{folder / 'tables/fct_clips.parquet'}'")
        con.execute("CREATE SCHEMA ops; CREATE TABLE ops.dim_batches AS SELECT 'b' AS batch")
    return lake
