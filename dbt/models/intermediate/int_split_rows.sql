-- One row per way in which clips that no rule dropped tie things together: a video, its uploader, its bytes and a pair of
-- near-duplicates, in a batch (seq is the order of admission), for a category.
--
-- Only clips that would be kept are here: a dropped clip leaks nothing, so it ties nothing.
select
    clips.seq,
    clips.video_id,
    clips.uploader_key,
    clips.source_sha256,
    clips.label,
    ties.tie_key,
    count(*) as clips
from {{ ref('int_clips') }} as clips
anti join {{ ref('int_clip_failures') }} as failures using (batch, candidate_id, sample_id)
left join {{ ref('int_near_duplicates') }} as copies using (sample_id)
left join {{ ref('int_duplicate_ties') }} as ties using (sample_id)
where coalesce(copies.duplicate_rank, 1) = 1
group by all
