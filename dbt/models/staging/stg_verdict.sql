-- One row per answer of a reviewer about a drawn clip; a reviewer who answered again stands here again.
select
    sample_id,
    release,
    stratum,
    verdict,
    reviewer,
    cast(try_cast(created_at as timestamptz) as timestamp) as created_at
from {{ stage_table('verdict') }}
