-- One row per answer of a rater about a clip; a rater who answered again stands here again.
select
    sample_id,
    video,
    {{ finite('start_s') }} as start_s,
    {{ finite('end_s') }} as end_s,
    rater_id,
    cast(onscreen_present as boolean) as onscreen_present,
    cast(offscreen_present as boolean) as offscreen_present,
    cast(try_cast(created_at as timestamptz) as timestamp) as created_at
from {{ stage_table('rating') }}
