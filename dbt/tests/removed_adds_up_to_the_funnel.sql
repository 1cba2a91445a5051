-- A step of a batch of which the ledger does not hold exactly what came in and neither went on nor waits nor is undecided: must be none.
with removed as (
    select batch, step, count(*) as items from {{ ref('fct_removed') }} where is_first group by batch, step
)

select
    batch,
    step,
    funnel.items_in - funnel.passed - funnel.undecided - funnel.pending as lost,
    coalesce(removed.items, 0) as removed
from {{ ref('rpt_funnel') }} as funnel
full join removed using (batch, step)
where funnel.items_in - funnel.passed - funnel.undecided - funnel.pending is distinct from coalesce(removed.items, 0)
