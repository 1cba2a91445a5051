-- One row per clip of the release that is current: the splits that must not change.
select
    sample_id,
    video_id,
    uploader_key,
    source_sha256,
    split
from {{ stage_table('published_splits') }}
