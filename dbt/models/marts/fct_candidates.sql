-- One row per row of a list: what became of it.
with kept as (
    select batch, candidate_id, count(*) as clips_kept
    from {{ ref('splits') }}
    join {{ ref('int_clips') }} using (batch, sample_id)
    where occurrence = 1
    group by batch, candidate_id
)

select
    candidates.batch,
    candidates.candidate_id,
    candidates.source,
    candidates.list_path,
    candidates.list_row,
    candidates.source_id,
    candidates.video_id,
    candidates.url,
    candidates.start_s,
    candidates.end_s,
    candidates.title,
    candidates.description,
    candidates.uploader,
    candidates.license,
    candidates.labels,
    candidates.caption,
    candidates.extra,
    candidates.step,
    candidates.status,
    candidates.reason,
    candidates.detail,
    candidates.clips,
    coalesce(kept.clips_kept, 0) as clips_kept
from {{ ref('int_shown_candidates') }} as candidates
left join kept using (batch, candidate_id)
