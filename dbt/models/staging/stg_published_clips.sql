-- One row per clip that the current release decided on.
select
    sample_id,
    status,
    first_failed_rule,
    detail,
    split
from {{ stage_table('published_clips') }}
