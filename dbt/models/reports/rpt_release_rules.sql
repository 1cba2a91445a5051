-- One row per rule before release: how many clips pass it alone, and how many pass it and all rules before it.
--
-- Rules of a point that does not decide (var release_points) are counted too: AVSET-10M's threshold drops what it drops,
-- and is seen, before anyone switches it on. A clip counts once, by the candidate that reached it first. A rule that cannot
-- be checked for a clip (its measure is null) does not fire.
with fired as (
    select fired.point, fired.position, fired.sample_id
    from ({{ fired(ref('int_clip_measures'), 'batch, candidate_id, sample_id', ['release', 'avset']) }}) as fired
    join {{ ref('int_clips') }} as clips using (batch, candidate_id, sample_id)
    where clips.occurrence = 1
),

first_fired as (
    select point, first_position, count(*) as clips
    from (select point, sample_id, min(position) as first_position from fired group by point, sample_id)
    group by point, first_position
),

alone as (select point, position, count(*) as clips from fired group by point, position),

everyone as (select count(*) as clips from {{ ref('int_clips') }} where occurrence = 1)

select
    rules.point,
    rules.position,
    rules.rule,
    rules.point in ('{{ var('release_points') | join("', '") }}') as decides,
    everyone.clips,
    everyone.clips - coalesce(alone.clips, 0) as pass_alone,
    cast(everyone.clips - coalesce((
        select sum(first_fired.clips) from first_fired
        where first_fired.point = rules.point and first_fired.first_position <= rules.position
    ), 0) as bigint) as pass_in_order
from {{ ref('thresholds') }} as rules
cross join everyone
left join alone using (point, position)
where rules.point in ('release', 'avset') and rules.measure != 'joins_two_splits'
