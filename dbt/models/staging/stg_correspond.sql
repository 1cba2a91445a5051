-- One row per clip: how well what is heard matches what is seen.
select
    lake_batch as batch,
    cast(left(lake_shard, 5) as integer) as shard_number,
    sample_id,
    outcome,
    reason,
    {{ finite('score') }} as score,
    {{ finite('z') }} as z,
    {{ finite('semantic') }} as semantic,
    {{ finite('sync') }} as sync,
    {{ finite('null_mean') }} as null_mean,
    {{ finite('null_std') }} as null_std,
    cast(fold as bigint) as fold,
    model
from {{ stage_table('correspond') }}
