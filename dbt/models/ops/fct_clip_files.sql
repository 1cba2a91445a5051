-- One row per clip: the tar in the lake that holds `<sample_id>.mp4`.
select
    clips.sample_id,
    shards.batch,
    shards.shard,
    replace(shards.path, '.parquet', '.tar') as tar
from {{ ref('int_clips') }} as clips
join {{ ref('stg_clip') }} as placed using (batch, shard_number, candidate_id, sample_id)
join {{ ref('fct_shards') }} as shards
    on shards.stage = 'clip' and shards.batch = placed.batch and shards.shard = placed.shard
where clips.occurrence = 1
