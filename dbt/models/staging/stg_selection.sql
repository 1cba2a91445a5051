-- One row per clip that stood for selection by mutual information: where it came in the order, or null.
select
    sample_id,
    cast(position as bigint) as position,
    cast(round as bigint) as round,
    cast(round_position as bigint) as round_position,
    cast(round_candidates as bigint) as round_candidates,
    {{ finite('gain') }} as gain,
    among,
    pairing,
    method,
    model
from {{ stage_table('selection') }}
