-- An id that fct_outcomes says was dropped or failed and that does not stand in the ledger exactly once as first, with the
-- same step and reason, or a first reason of the ledger that is no outcome: must be none.
with firsts as (select * from {{ ref('fct_removed') }} where is_first),

ended as (select * from {{ ref('fct_outcomes') }} where status in ('dropped', 'failed'))

select
    batch,
    candidate_id,
    sample_id,
    min(ended.reason) as ended_by,
    min(firsts.reason) as removed_by,
    count(firsts.batch) as firsts
from ended
full join firsts using (batch, candidate_id, sample_id)
group by batch, candidate_id, sample_id
having count(firsts.batch) != 1 or count(ended.batch) != 1 or min(ended.reason) is distinct from min(firsts.reason)
    or min(ended.step) is distinct from min(firsts.step)
