-- One row per accepted candidate: the download.
{{ config(materialized = 'by_batch') }}
select
    lake_batch as batch,
    lake_shard as shard,
    sample_id as candidate_id,
    outcome,
    reason,
    detail,
    video_id,
    url,
    media_sha256,
    media_ext,
    cast(media_bytes as bigint) as media_bytes,
    media_type,
    fetched_title,
    fetched_uploader,
    {{ finite('fetched_duration_s') }} as fetched_duration_s,
    cast(redirects as bigint) as redirects
from {{ stage_table('fetch') }}
