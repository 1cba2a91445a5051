-- One row per rule, as it was in the release that is current.
select
    point,
    rule,
    measure,
    op,
    {{ finite('value') }} as value,
    unit
from {{ stage_table('published_thresholds') }}
