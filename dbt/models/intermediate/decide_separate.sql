-- One row per clip that is flagged for separation, in the shard of the plan that it lies in: what stage `separate` reads.
select
    flags.sample_id,
    'ok' as outcome,
    cast(null as varchar) as reason,
    cast(null as varchar) as detail,
    flags.batch,
    flags.shard_number,
    flags.flag_why as why
from {{ ref('int_flags') }} as flags
where flags.flag = 1
qualify row_number() over (partition by flags.batch, flags.shard_number, flags.sample_id order by flags.candidate_id) = 1
