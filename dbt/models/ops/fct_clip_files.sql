-- One row per clip: the tar in the lake that holds `<sample_id>.mp4`; where its sound was separated, the one that holds
-- `<sample_id>.flac`, what is left of it, and when that begins. What was taken down has none: `winnow clean` removes it.
with residuals as (
    select
        separate.batch,
        separate.shard_number,
        separate.sample_id,
        separate.start_s,
        separate.residual_sha256,
        separate.residual_bytes,
        replace(shards.path, '.parquet', '.tar') as tar
    from {{ ref('stg_separate') }} as separate
    join {{ ref('fct_shards') }} as shards
        on shards.stage = 'separate' and shards.batch = separate.batch and shards.shard = separate.shard
    where separate.outcome = 'ok'
)

select
    clips.sample_id,
    shards.batch,
    shards.shard,
    replace(shards.path, '.parquet', '.tar') as tar,
    residuals.tar as residual_tar,
    residuals.start_s as residual_start_s,
    residuals.residual_sha256,
    residuals.residual_bytes
from {{ ref('int_clips') }} as clips
join {{ ref('fct_shards') }} as shards
    on shards.stage = 'clip' and shards.batch = clips.batch and shards.shard = clips.shard
anti join {{ ref('int_takedowns') }} as taken on taken.sample_id = clips.sample_id
left join residuals
    on residuals.batch = clips.batch
    and residuals.shard_number = clips.shard_number
    and residuals.sample_id = clips.sample_id
where clips.occurrence = 1
