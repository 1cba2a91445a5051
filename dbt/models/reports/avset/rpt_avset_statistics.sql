-- One row per dataset of AVSET-10M's table, and per part of this release: clips, mean, hours, and whether they agree.
--
-- Two identities: clips × mean = hours of clips, and parts sum to the whole. A printed figure is known to half a unit of its
-- last digit, so a published identity holds where some figures that would be printed so fulfil it. Ours are sums of whole ms.
with ours as (
    select subset, sample_id, video_id, start_ms, end_ms, flag from {{ ref('avset_clips') }}
),

-- What a clip adds to the union of its video's intervals: what lies after the latest end of the clips before it.
covered as (
    select
        wholes.dataset,
        ours.*,
        max(end_ms) over (
            partition by wholes.dataset, video_id order by start_ms, end_ms, sample_id
            rows between unbounded preceding and 1 preceding
        ) as covered_ms
    from ours
    join (values ('all', 'this release'), ('labelled', 'labelled'), ('captioned', 'captioned')) as wholes (subset, dataset)
        on wholes.subset in ('all', ours.subset)
),

sums as (
    select
        dataset,
        count(*) as clips,
        count(distinct video_id) as videos,
        cast(sum(flag) as bigint) as flagged_clips,
        cast(sum(end_ms - start_ms) as bigint) as clip_ms,
        cast(sum(greatest(0, end_ms - greatest(start_ms, coalesce(covered_ms, start_ms)))) as bigint) as unique_ms
    from covered
    group by dataset
),

listed as (
    select coalesce(subset, 'this release') as dataset, cast(sum(stretches) as bigint) as taken_from
    from {{ ref('int_avset_candidates') }}
    group by rollup (subset)
),

figures as (
    select
        'this release' as origin,
        dataset,
        if(dataset = 'this release', null, 'this release') as part_of,
        clips,
        1 as clips_unit,
        videos,
        flagged_clips,
        clip_ms / clips / 1000 as mean_s,
        0.0::double as mean_unit_s,
        clip_ms / 3600000 as hours,
        0.0::double as hours_unit,
        clip_ms,
        unique_ms / 3600000 as unique_hours,
        listed.taken_from,
        'tables of this release: avset_clips' as source
    from sums
    left join listed using (dataset)
    union all by name
    select
        'published' as origin,
        dataset,
        part_of,
        clips,
        clips_unit,
        mean_s,
        mean_unit_s,
        hours,
        hours_unit,
        taken_from,
        source
    from {{ ref('avset_published') }}
),

parts as (
    select
        origin,
        part_of as dataset,
        cast(sum(clips) as bigint) as parts_clips,
        cast(sum(clips_unit) as bigint) as parts_unit,
        cast(sum(clip_ms) as bigint) as parts_ms
    from figures
    where part_of is not null
    group by origin, part_of
),

-- A figure is known to half a unit of its last digit; an exact one (unit 1 of clips, unit 0 of times) is known.
bounds as (
    select
        *,
        if(clips_unit > 1, clips_unit / 2, 0) as clips_off,
        mean_unit_s / 2 as mean_off,
        hours_unit / 2 as hours_off
    from figures
    left join parts using (origin, dataset)
),

checked as (
    select
        *,
        round(clips * mean_s / 3600, 6) as clips_times_mean_hours,
        (clips - clips_off) * (mean_s - mean_off) / 3600 <= hours + hours_off + 1e-9 * hours
        and (clips + clips_off) * (mean_s + mean_off) / 3600 >= hours - hours_off - 1e-9 * hours as hours_hold,
        abs(clips - parts_clips) <= clips_off + if(parts_unit > 2, parts_unit / 2, 0)
        and coalesce(clip_ms = parts_ms, true) as parts_hold
    from bounds
)

select
    origin,
    dataset,
    part_of,
    clips,
    videos,
    flagged_clips,
    mean_s,
    hours,
    unique_hours,
    clip_ms,
    taken_from,
    round(clips / nullif(taken_from, 0), 6) as taken_share,
    clips_times_mean_hours,
    hours_hold,
    parts_clips,
    parts_hold,
    nullif(
        concat_ws(
            '; ',
            if(
                not hours_hold,
                format('{:,} clips of {} s are {:,} hours, not {:,}', clips, mean_s, cast(round(clips_times_mean_hours) as bigint), cast(hours as bigint)),
                null
            ),
            if(not parts_hold, format('its parts sum to {:,} clips, not {:,}', parts_clips, clips), null)
        ),
        ''
    ) as problem,
    source
from checked
