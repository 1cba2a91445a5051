-- One row per candidate and label of its list, in the list's order: the label, and the class of AudioSet that it is, by id or
-- by display name. A label that is no class stays, without one.
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
    -- An id that the class list does not know is an id still: the ontology has 632 classes, and may grow.
    coalesce(
        by_id.mid, by_name.mid, if(regexp_matches(listed.label, '^/[mgt]/[0-9a-z_]+$'), listed.label, null)
    ) as mid,
    coalesce(by_id.name, by_name.name) as name,
    coalesce(by_id.mid, by_name.mid) is not null as is_class
from listed
left join {{ ref('audioset_classes') }} as by_id on by_id.mid = listed.label
left join {{ ref('audioset_classes') }} as by_name on by_id.mid is null and lower(by_name.name) = {{ class_called('listed.label') }}
