-- One row per video, uploader and file that the current release has in a split.
select distinct video_id, uploader_key, source_sha256, split from {{ ref('stg_published_splits') }}
