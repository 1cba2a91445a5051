-- One row per batch of this release, in the order of admission.
-- What was committed of it: its shards, and the pairs that were found of it.
with committed as (
    select batch, count(*) as files from {{ ref('stg_manifests') }} group by batch
)

select
    inputs.batch,
    min(inputs.seq) as seq,
    coalesce(min(committed.files), 0) + count(*) filter (inputs.v is null) as files
from {{ ref('stg_inputs') }} as inputs
left join committed using (batch)
where inputs.batch is not null
group by inputs.batch
