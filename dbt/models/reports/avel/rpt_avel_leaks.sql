-- One row per family, origin of splits and pair of splits: the videos that stand in both.
--
-- Origin `given` is what published lists say (AVE's orders divide videos with two events), `ours` what is published here.
with lists as (
    select distinct keys.family, keys.video, lists.split
    from (
        select family, video, unnest([clip, video, video || '&' || category]) as key
        from {{ ref('avel_samples') }}
    ) as keys
    join {{ ref('stg_given_split') }} as lists using (family, key)
),

placed as (
    select 'given' as origin, family, video, split from lists
    union all
    select distinct 'ours', family, coalesce(video, video_id), split
    from {{ ref('avel_samples') }}
    where split is not null
),

pairs as (
    select one.split as split_a, other.split as split_b, one.position as position_a, other.position as position_b
    from {{ ref('split_shares') }} as one
    join {{ ref('split_shares') }} as other on one.position < other.position
),

leaks as (
    select a.family, a.origin, a.split as split_a, b.split as split_b, a.video
    from placed as a
    join placed as b using (family, origin, video)
)

select
    origins.family,
    origins.origin,
    pairs.split_a,
    pairs.split_b,
    count(leaks.video) as videos,
    coalesce(list_sort(list(leaks.video) filter (leaks.video is not null))[1:50], []::varchar[]) as video_list
from (select distinct family, origin from placed) as origins
cross join pairs
left join leaks using (family, origin, split_a, split_b)
group by origins.family, origins.origin, pairs.split_a, pairs.split_b
