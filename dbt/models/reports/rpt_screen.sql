-- One row per rule before fetch: how many candidates pass it alone, and how many pass it and all rules before it.
--
-- Rules of a point that does not decide (var fetch_points) are counted too: what they would do is known without a
-- download. ACAV100M's `--test-each` mode gives the first of the two figures.
with fired as (
    {{ fired(ref('int_fetch_measures'), 'batch, candidate_id', ['fetch', 'acav']) }}
),

first_fired as (
    select point, first_position, count(*) as candidates
    from (
        select point, batch, candidate_id, min(position) as first_position from fired group by point, batch, candidate_id
    )
    group by point, first_position
),

alone as (select point, position, count(*) as candidates from fired group by point, position),

everyone as (select count(*) as candidates from {{ ref('int_fetch_measures') }})

select
    rules.point,
    rules.position,
    rules.rule,
    rules.point in ('{{ var('fetch_points') | join("', '") }}') as decides,
    everyone.candidates,
    everyone.candidates - coalesce(alone.candidates, 0) as pass_alone,
    cast(everyone.candidates - coalesce((
        select sum(first_fired.candidates) from first_fired
        where first_fired.point = rules.point and first_fired.first_position <= rules.position
    ), 0) as bigint) as pass_in_order
from {{ ref('thresholds') }} as rules
cross join everyone
left join alone using (point, position)
where rules.point in ('fetch', 'acav')
