-- One row per clip: whether its PANNs features were computed, and by which checkpoint (the vectors stay in the lake).
select
    lake_batch as batch,
    cast(left(lake_shard, 5) as integer) as shard_number,
    sample_id,
    outcome,
    reason,
    cast(n_windows as bigint) as n_windows,
    model
from {{ stage_table('panns') }}
