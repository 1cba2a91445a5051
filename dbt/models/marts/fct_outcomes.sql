-- One row per end of a path: a candidate that gave no clip, or a clip (once per candidate that leads to it).
--
-- The ledger of the release: every id that ever came in ends here once, with the step and the reason.
select
    batch,
    candidate_id,
    '' as sample_id,
    source_id,
    url,
    step,
    status,
    reason,
    detail
from {{ ref('int_candidates') }}
where status != 'clipped'

union all

select
    decisions.batch,
    decisions.candidate_id,
    decisions.sample_id,
    candidates.source_id,
    candidates.url,
    'release' as step,
    decisions.status,
    coalesce(decisions.first_failed_rule, if(decisions.status = 'pending', 'not_measured', null)) as reason,
    decisions.detail
from {{ ref('int_clip_decisions') }} as decisions
join {{ ref('int_candidates') }} as candidates using (batch, candidate_id)
