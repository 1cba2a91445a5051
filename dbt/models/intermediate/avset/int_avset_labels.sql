-- One row per candidate and label of its list, in the list's order: the label, and the class of AudioSet that it is, by id or
-- by display name. A label that is no class stays, without one.
{{ config(materialized = 'by_batch') }}
with listed as (
    select batch, candidate_id, unnest(labels) as label, unnest(range(1, len(labels) + 1)) as position
    from {{ ref('stg_ingest') }}
    where video_id is not null and labels is not null
)

select
    listed.batch,
    listed.candidate_id,
    listed.position,
    listed.label,
    {{ class_mid('listed.label') }} as mid,
    coalesce(by_id.name, by_name.name) as name,
    coalesce(by_id.mid, by_name.mid) is not null as is_class
from listed
{{ join_classes('listed.label') }}
