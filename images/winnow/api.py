"""What `import winnow` gives: a lake, a stage's table of a batch as Arrow, a release as a DuckDB connection.

    import winnow

    lake = winnow.open_lake("lake")
    winnow.read_stage(lake, "probe", "2026-11-20").to_pandas()
    with winnow.open_release(lake) as release:
        release.sql("select status, count(*) from fct_clips group by all").df()

Whatever is heavy is imported when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.sample import check_batch
from winnow.core.settings import load
from winnow.core.shard import Chain
from winnow.core.stage import stage_columns, stage_needs, stage_wants

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["Lake", "open_lake", "open_release", "read_stage", "releases"]


def open_lake(root: str | None = None) -> Lake:
    """The lake at a local folder or an fsspec address; that of the environment (`WINNOW_LAKE`) without one."""
    return Lake(root if root is not None else load().lake)


def read_stage(lake: Lake, stage: str, batch: str) -> pa.Table:
    """A stage's table of one batch: every committed shard's rows, ordered by `sample_id`, failed ones too (`outcome`,
    `reason`, `detail`). ConfigError for a stage that there is not, ContractError where nothing is committed."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    if stage not in stage_columns():
        raise ConfigError(f"there is no stage {stage!r}; there are {', '.join(sorted(stage_columns()))}")
    chain = Chain(lake, check_batch(batch), stage_needs(), stage_wants())
    shards = [chain.committed(stage, number) for number in chain.numbers(stage)]
    tables = [pq.read_table(io.BytesIO(lake.read_table(manifest))) for manifest in shards if manifest is not None]
    if not tables:
        raise ContractError(f"batch {batch} has nothing of {stage} in {lake.root}: see `winnow run {stage} --help`")
    return pa.concat_tables(tables).sort_by("sample_id")


def releases(lake: Lake) -> list[str]:
    """Ids of all published releases."""
    from winnow.release import publish

    return publish.releases(lake)


def open_release(lake: Lake, release: str | None = None) -> duckdb.DuckDBPyConnection:
    """A published release, read-only (the current one, or one whose id begins so): its tables, and those of the schema
    `ops`, by their names. ConfigError where nothing is published."""
    from winnow.release import query

    return query.open_snapshot(lake, release)
