-- One row per answer about one category of a clip; a person who answered again stands here again.
select
    sample_id,
    family,
    video_id,
    video,
    {{ finite('start_s') }} as start_s,
    {{ finite('end_s') }} as end_s,
    category,
    annotator_id,
    cast(try_cast(created_at as timestamptz) as timestamp) as created_at,
    cast(labels as integer[]) as labels,
    cast(audible as integer[]) as audible,
    cast(visible as integer[]) as visible,
    source
from {{ stage_table('segment_label') }}
