-- One row per batch and step: how many came in, how many went on, and where the rest is.
--
-- What comes in and goes on is counted from the stage tables, what did not go on from the ledger (fct_outcomes): two
-- ways to one number, so `unexplained` must be 0 and a test says so.
with counted as (
    select batch, step, items from {{ ref('int_counted') }}
    union all
    select batch, 'released', count(*) from {{ ref('splits') }} group by batch
),

steps (position, step, unit, next_step) as (
    values
        (1, 'ingest', 'candidates', 'screen'),
        (2, 'screen', 'candidates', 'decide'),
        (3, 'decide', 'candidates', 'fetch'),
        (4, 'fetch', 'candidates', 'clip'),
        (5, 'clip', 'candidates', 'clipped'),
        (6, 'release', 'clips', 'released')
),

ledger as (
    select
        batch,
        step,
        count(*) filter (where status = 'failed') as failed,
        count(*) filter (where status = 'dropped') as dropped,
        count(*) filter (where status = 'undecided') as undecided,
        count(*) filter (where status = 'pending') as pending
    from {{ ref('fct_outcomes') }}
    group by batch, step
),

flow as (
    select
        batches.batch,
        steps.*,
        coalesce(came.items, 0) as items_in,
        coalesce(went.items, 0) as passed
    from (select batch from counted where step = 'ingest') as batches
    cross join steps
    left join counted as came on came.batch = batches.batch and came.step = steps.step
    left join counted as went on went.batch = batches.batch and went.step = steps.next_step
)

select
    flow.batch,
    flow.position,
    flow.step,
    flow.unit,
    flow.items_in,
    flow.passed,
    coalesce(ledger.failed, 0) as failed,
    coalesce(ledger.dropped, 0) as dropped,
    coalesce(ledger.undecided, 0) as undecided,
    coalesce(ledger.pending, 0) as pending,
    flow.items_in - flow.passed - coalesce(ledger.failed, 0) - coalesce(ledger.dropped, 0)
    - coalesce(ledger.undecided, 0) - coalesce(ledger.pending, 0) as unexplained
from flow
left join ledger using (batch, step)
