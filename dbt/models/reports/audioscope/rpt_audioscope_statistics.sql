-- One row per list of AudioScope: what it holds beside what its authors published. Empty where the corpus has no such clip.
--
-- Overlapping windows of one video count twice as clip-hours and once as unique hours. All sums are integers (ms).
with clips as (
    select
        lists.list_version,
        lists.split,
        lists.label,
        clips.video_id,
        clips.uploader_key,
        clips.start_ms,
        clips.end_ms
    from {{ ref('audioscope_clips') }} as clips
    join {{ ref('audioscope_lists') }} as lists
        on lists.split = clips.split
        and lists.label in (clips.label, 'any')
        and case lists.list_version when 'v2' then clips.in_v2 when 'v1' then clips.in_v1 else clips.in_mixit end
),

-- What a clip adds to the union of its video's intervals: what lies after the latest end of the clips before it.
covered as (
    select
        *,
        max(end_ms) over (
            partition by list_version, split, label, video_id order by start_ms, end_ms
            rows between unbounded preceding and 1 preceding
        ) as covered_ms
    from clips
),

videos as (
    select
        list_version,
        split,
        label,
        video_id,
        min(uploader_key) as uploader_key,
        count(*) as clips,
        cast(sum(end_ms - start_ms) as bigint) as clip_ms,
        cast(sum(greatest(0, end_ms - greatest(start_ms, coalesce(covered_ms, start_ms)))) as bigint) as unique_ms
    from covered
    group by list_version, split, label, video_id
),

sums as (
    select
        list_version,
        split,
        label,
        cast(sum(clips) as bigint) as clips,
        count(*) as videos,
        count(distinct uploader_key) as uploaders,
        cast(sum(clip_ms) as bigint) as clip_ms,
        cast(sum(unique_ms) as bigint) as unique_ms
    from videos
    group by list_version, split, label
),

mixtures as (
    select list_version, split, label, count(*) as mixtures
    from {{ ref('audioscope_mixtures') }}
    group by list_version, split, label
)

select
    lists.list_version,
    lists.split,
    lists.label,
    coalesce(sums.clips, 0) as clips,
    coalesce(sums.videos, 0) as videos,
    coalesce(sums.uploaders, 0) as uploaders,
    coalesce(sums.clip_ms, 0) as clip_ms,
    coalesce(sums.unique_ms, 0) as unique_ms,
    coalesce(sums.clip_ms, 0) / 3600000 as clip_hours,
    coalesce(sums.unique_ms, 0) / 3600000 as unique_hours,
    coalesce(mixtures.mixtures, 0) as mixtures,
    lists.published_clips,
    lists.published_mixtures
from {{ ref('audioscope_lists') }} as lists
left join sums using (list_version, split, label)
left join mixtures using (list_version, split, label)
where exists (select 1 from sums)
