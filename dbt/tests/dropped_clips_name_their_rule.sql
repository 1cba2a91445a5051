-- A dropped clip without the rule that dropped it, or a clip that is not dropped but has one: must be none.
select sample_id, status, first_failed_rule
from {{ ref('fct_clips') }}
where (status = 'dropped') != (first_failed_rule is not null)
