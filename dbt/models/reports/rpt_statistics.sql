-- One row per part of the dataset: the whole, each split, each label, each label in a split.
--
-- Clips, unique videos, clip-hours and unique hours are four different numbers: overlapping clips of one video count
-- twice as clip-hours and once as unique hours. All sums are integers (ms). A clip with two labels counts under both.
with clips as (
    select
        sample_id,
        video_id,
        split,
        start_ms,
        end_ms,
        list_distinct(coalesce(nullif(labels, []), ['unlabelled'])) as labels
    from {{ ref('fct_clips') }}
    where status = 'kept'
),

labelled as (
    select * exclude (labels), unnest(labels) as label from clips
),

parts as (
    select 'total' as scope, 'all' as split, 'all' as label, sample_id, video_id, start_ms, end_ms from clips
    union all
    select 'split', split, 'all', sample_id, video_id, start_ms, end_ms from clips
    union all
    select 'label', 'all', label, sample_id, video_id, start_ms, end_ms from labelled
    union all
    select 'split_label', split, label, sample_id, video_id, start_ms, end_ms from labelled
),

-- What a clip adds to the union of its video's intervals: what lies after the latest end of the clips before it.
covered as (
    select
        *,
        max(end_ms) over (
            partition by scope, split, label, video_id order by start_ms, end_ms, sample_id
            rows between unbounded preceding and 1 preceding
        ) as covered_ms
    from parts
),

sums as (
    select
        scope,
        split,
        label,
        count(*) as clips,
        count(distinct video_id) as videos,
        cast(sum(end_ms - start_ms) as bigint) as clip_ms,
        cast(sum(greatest(0, end_ms - greatest(start_ms, coalesce(covered_ms, start_ms)))) as bigint) as unique_ms
    from covered
    group by scope, split, label
)

select
    scope,
    split,
    label,
    clips,
    videos,
    clip_ms,
    unique_ms,
    clip_ms / 3600000 as clip_hours,
    unique_ms / 3600000 as unique_hours,
    clip_ms / clips / 1000 as mean_duration_s
from sums
