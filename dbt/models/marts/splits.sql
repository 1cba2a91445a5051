-- One row per kept clip: the dataset's index. Groups (same video, uploader or bytes) are never divided.
select
    clips.sample_id,
    clips.split,
    clips.group_id,
    clips.video_id,
    clips.url,
    clips.start_s,
    clips.end_s,
    clips.label,
    clips.labels,
    candidates.uploader_key,
    clips.source_sha256,
    clips.batch
from {{ ref('fct_clips') }} as clips
join {{ ref('int_candidates') }} as candidates using (batch, candidate_id)
where clips.status = 'kept'
