-- One row per clip: whether its visual features were measured (the vectors stay in the lake).
select
    lake_batch as batch,
    cast(left(lake_shard, 5) as integer) as shard_number,
    sample_id,
    outcome,
    reason,
    {{ finite('grid_hz') }} as grid_hz,
    cast(n_frames as bigint) as n_frames
from {{ stage_table('visual') }}
