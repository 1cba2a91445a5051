-- One row per flagged clip: what the separator took out of its sound.
select
    lake_batch as batch,
    cast(left(lake_shard, 5) as integer) as shard_number,
    sample_id,
    outcome,
    reason,
    separator,
    {{ finite('removed_db') }} as removed_db,
    {{ finite('residual_rms_dbfs') }} as residual_rms_dbfs,
    {{ finite('speech_s') }} as speech_s
from {{ stage_table('separate') }}
