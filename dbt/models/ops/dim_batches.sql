-- One row per batch of this release, in the order of admission.
select
    batch,
    min(seq) as seq,
    count(*) as files
from {{ ref('stg_inputs') }}
where batch is not null
group by batch
