-- One row per clip: whether its open_clip features were computed, and by which checkpoint (the vectors stay in the lake).
select
    lake_batch as batch,
    cast(left(lake_shard, 5) as integer) as shard_number,
    sample_id,
    outcome,
    reason,
    cast(n_frames as bigint) as n_frames,
    model
from {{ stage_table('open_clip') }}
