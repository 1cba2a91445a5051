-- One row per clip that an audit drew from a release.
select
    audit,
    release,
    sample_id,
    stratum,
    status,
    rule,
    cast(position as bigint) as position,
    cast(population as bigint) as population,
    cast(drawn as bigint) as drawn
from {{ stage_table('audit_sample') }}
