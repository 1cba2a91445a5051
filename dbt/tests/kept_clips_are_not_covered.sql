-- A kept clip that is flagged and whose residual was not scored, or does not match what is seen: must be none.
select sample_id, flag_why
from {{ ref('fct_clips') }}
where status = 'kept' and flag = 1 and not (is_recycled and residual_z is not null)
