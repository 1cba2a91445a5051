"""A stage's table of one batch as one Arrow table, out of the shards that stand."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from winnow.core import extras
from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake
from winnow.core.sample import check_batch
from winnow.core.shard import Lineage
from winnow.core.stage import stage_columns, stage_needs, stage_optional_needs

if TYPE_CHECKING:
    import pyarrow as pa


def read(lake: Lake, stage: str, batch: str) -> pa.Table:
    """Every committed shard's rows, ordered by `sample_id`, failed ones too (`outcome`, `reason`, `detail`).
    ConfigError for a stage that there is not, ContractError where nothing is committed."""
    with extras.named():
        import pyarrow as pa
        import pyarrow.parquet as pq

    if stage not in stage_columns():
        raise ConfigError(f"there is no stage {stage!r}; there are {', '.join(sorted(stage_columns()))}")
    lineage = Lineage(lake, check_batch(batch), stage_needs(), stage_optional_needs())
    shards = [lineage.committed(stage, number) for number in lineage.numbers(stage)]
    tables = [pq.read_table(io.BytesIO(lake.read_table(manifest))) for manifest in shards if manifest is not None]
    if not tables:
        raise ContractError(f"batch {batch} has nothing of {stage} in {lake.root}: see `winnow run {stage} --help`")
    return pa.concat_tables(tables).sort_by("sample_id")
