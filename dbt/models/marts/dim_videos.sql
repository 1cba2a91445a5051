-- One row per source video that a readable list row names.
with named as (
    select
        *,
        row_number() over (partition by video_id order by source_sha256 is null, seq, batch, candidate_id) as preference
    from {{ ref('int_shown_candidates') }}
    where video_id is not null and step != 'ingest'
),

clips as (
    select
        video_id,
        count(*) as clips,
        count(*) filter (where status = 'kept') as clips_kept,
        max(group_id) as group_id,
        max(split) as split
    from {{ ref('fct_clips') }}
    group by video_id
)

select
    named.video_id,
    named.batch,
    named.url,
    named.uploader,
    named.title,
    named.source_sha256,
    named.fetched_duration_s as duration_s,
    coalesce(clips.clips, 0) as clips,
    coalesce(clips.clips_kept, 0) as clips_kept,
    clips.group_id,
    clips.split
from named
left join clips using (video_id)
where named.preference = 1
