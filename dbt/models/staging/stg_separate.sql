-- One row per flagged clip: what the separator took out of its sound.
{{ config(materialized = 'by_batch') }}
select
    {{ of_a_sample() }},
    lake_shard as shard,
    separator,
    {{ finite('start_s') }} as start_s,
    {{ finite('removed_db') }} as removed_db,
    {{ finite('residual_rms_dbfs') }} as residual_rms_dbfs,
    {{ finite('speech_s') }} as speech_s,
    residual_sha256,
    cast(residual_bytes as bigint) as residual_bytes
from {{ stage_table('separate') }}
