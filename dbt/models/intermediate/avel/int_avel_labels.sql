-- One row per family, clip and category that somebody labelled: the labels that count.
--
-- What people say replaces what was published; proposals count only where var avel_count_proposals says so and nobody has
-- said anything. In VGGSound-AVEL a clip has one category, so whoever speaks of the clip speaks of all of it; in AVE and
-- LLP each category stands alone. Of one annotator the last answer counts; of several the majority, second by second, and
-- a tie is no event. LLP's lists say what is audible and what is visible apart: a second in both is an event.
with answers as (
    select
        *,
        case
            when starts_with(annotator_id, 'proposal:') then 0
            when starts_with(annotator_id, 'published:') then 1
            else 2
        end as level
    from {{ ref('stg_segment_label') }}
),

-- Which clip it is: an answer from the explorer says its id alone, a list says the rest.
about as (
    select
        sample_id,
        min(video_id) as video_id,
        min(video) as video,
        min(start_s) as start_s,
        min(end_s) as end_s
    from answers
    group by sample_id
),

-- An annotator's last answer that says when the event is there, and the last ones that say only a part of it.
latest as (
    select
        *,
        row_number() over (
            partition by family, sample_id, category, annotator_id, labels is null, labels is null and audible is null
            order by created_at desc nulls last, labels desc, audible desc nulls last, visible desc nulls last, source
        ) as nth_last
    from answers
    where level > {{ -1 if var('avel_count_proposals') else 0 }}
),

spoken as (
    select
        family,
        sample_id,
        category,
        annotator_id,
        level,
        max(labels) as labels,
        max(audible) as audible,
        max(visible) as visible
    from latest
    where nth_last = 1
    group by family, sample_id, category, annotator_id, level
),

-- A clip of LLP that stands in one of its two lists only has no event in the other, once that one was read.
lists as (
    select
        bool_or(audible is not null) as has_audible,
        bool_or(visible is not null) as has_visible
    from answers
    where family = 'llp' and level = 1
),

heard_and_seen as (
    select
        spoken.* exclude (audible, visible),
        coalesce(
            audible, if(family = 'llp' and level = 1 and lists.has_audible, list_resize([]::integer[], 10, 0), null)
        ) as audible,
        coalesce(
            visible, if(family = 'llp' and level = 1 and lists.has_visible, list_resize([]::integer[], 10, 0), null)
        ) as visible
    from spoken
    cross join lists
),

weighed as (
    select
        * exclude (labels),
        coalesce(labels, list_transform(range(1, 11), lambda k: (audible[k] & visible[k])::integer)) as labels,
        max(level) over (partition by family, sample_id, if(family = 'avel', null, category)) as highest
    from heard_and_seen
),

counted as (
    select
        family,
        sample_id,
        category,
        level,
        count(*) as annotators,
        count(distinct labels) = 1 as is_unanimous,
        list(labels) as said,
        list(audible) filter (audible is not null) as heard,
        list(visible) filter (visible is not null) as seen
    from weighed
    where level = highest and labels[1] is not null
    group by family, sample_id, category, level
),

-- Videos that gave no clip and were taken down.
gone as (
    select video_id
    from {{ ref('int_candidates') }}
    semi join {{ ref('int_taken_candidates') }} using (batch, candidate_id)
    where clips = 0
)

select
    counted.family,
    counted.sample_id,
    counted.category,
    coalesce(about.video_id, clips.video_id) as video_id,
    coalesce(
        about.video,
        nullif(regexp_extract(clips.url, 'youtube\.com/watch\?v=([A-Za-z0-9_-]{11})', 1), ''),
        clips.url
    ) as video,
    coalesce(about.start_s, clips.start_s) as start_s,
    coalesce(about.end_s, clips.end_s) as end_s,
    ['proposal', 'published', 'person'][counted.level + 1] as said_by,
    counted.annotators,
    counted.is_unanimous,
    {{ avel_majority('said') }} as labels,
    {{ avel_majority('heard') }} as audible,
    {{ avel_majority('seen') }} as visible
from counted
join about using (sample_id)
left join {{ ref('fct_clips') }} as clips using (sample_id)
anti join {{ ref('int_takedowns') }} as taken on taken.sample_id = counted.sample_id
anti join gone on gone.video_id = about.video_id
