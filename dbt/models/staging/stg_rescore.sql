-- One row per separated clip: how well what is left of its sound matches what is seen, and what is still in it.
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
    model,
    {{ finite('speech') }} as speech,
    {{ finite('music') }} as music
from {{ stage_table('rescore') }}
