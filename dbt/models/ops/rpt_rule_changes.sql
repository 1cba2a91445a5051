-- One row per rule that is another than in the current release: added, removed, or with another comparison.
-- Without a current release there is nothing to compare with, and no row.
with compared as (
    select
        coalesce(now.rule, before.rule) as rule,
        coalesce(now.point, before.point) as point,
        before.measure || ' ' || before.op || ' ' || before.value || coalesce(' ' || before.unit, '') as compared_before,
        now.measure || ' ' || now.op || ' ' || now.value || coalesce(' ' || now.unit, '') as compared_now
    from {{ ref('stg_published_thresholds') }} as before
    full join {{ ref('thresholds') }} as now on now.rule = before.rule
)

select
    rule,
    point,
    case when compared_before is null then 'added' when compared_now is null then 'removed' else 'changed' end as change,
    compared_before,
    compared_now
from compared
where
    exists (from {{ ref('stg_published_thresholds') }})
    and compared_before is distinct from compared_now
