-- One row per clip: which cluster it falls into in every feature layer, and under which centres.
select
    lake_batch as batch,
    lake_seq as seq,
    cast(left(lake_shard, 5) as integer) as shard_number,
    sample_id,
    outcome,
    reason,
    cast(visual_clusters as integer[]) as visual_clusters,
    cast(audio_clusters as integer[]) as audio_clusters,
    model
from {{ stage_table('cluster') }}
