-- A dropped or undecided clip without its rule, or another clip that has one: must be none.
select sample_id, status, first_failed_rule
from {{ ref('fct_clips') }}
where (status in ('dropped', 'undecided')) != (first_failed_rule is not null)
