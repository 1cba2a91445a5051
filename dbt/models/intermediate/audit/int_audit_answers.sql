-- One row per audit, drawn clip and reviewer who answered: the last answer. A verdict counts in every audit of its
-- release that drew the clip; one about a clip that no audit drew counts nowhere.
with answers as (
    select
        *,
        row_number() over (
            partition by release, sample_id, reviewer order by created_at desc nulls last, verdict
        ) as nth_last
    from {{ ref('stg_verdict') }}
)

select
    samples.audit,
    samples.sample_id,
    answers.reviewer,
    answers.verdict
from answers
join {{ ref('stg_audit_sample') }} as samples using (release, sample_id)
where answers.nth_last = 1
