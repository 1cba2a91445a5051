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
from {{ ref('int_shown_candidates') }}
where status != 'clipped'

union all

select
    decisions.batch,
    decisions.candidate_id,
    decisions.sample_id,
    if(decisions.first_failed_rule = 'taken_down', null, candidates.source_id) as source_id,
    if(decisions.first_failed_rule = 'taken_down', null, candidates.url) as url,
    'release' as step,
    decisions.status,
    coalesce(decisions.first_failed_rule, if(decisions.status = 'pending', 'not_measured', null)) as reason,
    decisions.detail
from {{ ref('int_clip_decisions') }} as decisions
join {{ ref('int_shown_candidates') }} as candidates using (batch, candidate_id)
