-- One row per clip that this release treats otherwise than the current one: entered, left, or moved to another split.
-- Without a current release there is nothing to compare with, and no row.
with compared as (
    select
        coalesce(now.sample_id, before.sample_id) as sample_id,
        now.url,
        now.label,
        now.start_s,
        now.end_s,
        coalesce(before.status, 'absent') as status_before,
        coalesce(now.status, 'absent') as status_now,
        before.first_failed_rule as rule_before,
        now.first_failed_rule as rule_now,
        before.detail as detail_before,
        now.detail as detail_now,
        before.split as split_before,
        now.split as split_now
    from {{ ref('stg_published_clips') }} as before
    full join {{ ref('fct_clips') }} as now on now.sample_id = before.sample_id
)

select
    sample_id,
    case
        when status_before != 'kept' and status_now = 'kept' then 'entered'
        when status_before = 'kept' and status_now != 'kept' then 'left'
        when status_before = 'kept' and split_before != split_now then 'moved'
        when status_before = 'absent' then 'new'
        when status_now = 'absent' then 'gone'
        else 'reason'
    end as change,
    url,
    label,
    start_s,
    end_s,
    status_before,
    status_now,
    rule_before,
    rule_now,
    detail_before,
    detail_now,
    split_before,
    split_now
from compared
where
    exists (from {{ ref('stg_published_clips') }})
    and (
        status_before != status_now
        or rule_before is distinct from rule_now
        or split_before is distinct from split_now
    )
