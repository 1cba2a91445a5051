-- One row per clip: whether its audio features were measured (the vectors stay in the lake).
select
    lake_batch as batch,
    cast(left(lake_shard, 5) as integer) as shard_number,
    sample_id,
    outcome,
    reason,
    {{ finite('grid_hz') }} as grid_hz,
    cast(n_samples as bigint) as n_samples
from {{ stage_table('audio') }}
