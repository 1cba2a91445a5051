-- One row per clip, and one per fetched candidate that gave none.
select
    lake_batch as batch,
    lake_seq as seq,
    lake_shard as shard,
    cast(left(lake_shard, 5) as integer) as shard_number,
    coalesce(candidate_id, sample_id) as candidate_id,
    sample_id,
    outcome,
    reason,
    detail,
    video_id,
    {{ finite('start_s') }} as start_s,
    {{ finite('end_s') }} as end_s,
    {{ finite('duration_s') }} as duration_s,
    cast(round(start_s * 1000) as bigint) as start_ms,
    cast(round(end_s * 1000) as bigint) as end_ms,
    "window" as window_kind,
    cast(shot_index as bigint) as shot_index,
    cut,
    media_sha256,
    cast(media_bytes as bigint) as media_bytes,
    {{ finite('av_offset_s') }} as av_offset_s
from {{ stage_table('clip') }}
