-- One row per clip and candidate that leads to it, with what every stage measured, and whether it, or its bytes, were there
-- before.
{{ config(materialized = 'view') }}
select
    clips.*,
    coalesce(repeated.occurrence, 1) as occurrence,
    if(repeated.sample_id is null, 1, repeated.media_copy) as media_copy
from {{ ref('int_clip_rows') }} as clips
left join {{ ref('int_repeated_clips') }} as repeated using (batch, candidate_id, sample_id)
