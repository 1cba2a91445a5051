-- One row per batch, step, status and reason: how many ended there.
select
    outcomes.batch,
    outcomes.step,
    outcomes.status,
    coalesce(outcomes.reason, '') as reason,
    count(*) as items,
    coalesce(min(rules.reason), '') as explanation
from {{ ref('fct_outcomes') }} as outcomes
left join {{ ref('thresholds') }} as rules on rules.rule = outcomes.reason and outcomes.status in ('dropped', 'undecided')
group by outcomes.batch, outcomes.step, outcomes.status, outcomes.reason
