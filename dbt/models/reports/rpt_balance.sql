-- One row per label: how many of its clips were kept, and from how many videos. Per split: rpt_statistics.
with clips as (
    select
        sample_id,
        video_id,
        status,
        unnest(list_distinct(coalesce(nullif(labels, []), ['unlabelled']))) as label
    from {{ ref('fct_clips') }}
)

select
    label,
    count(*) as clips,
    count(*) filter (where status = 'kept') as clips_kept,
    count(distinct video_id) filter (where status = 'kept') as videos_kept,
    count(*) filter (where status = 'kept') / count(*) as kept_share
from clips
group by label
