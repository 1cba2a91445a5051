-- One row per class of AudioSet's ontology, in the order of its file.
select
    cast(position as bigint) as position,
    mid,
    name,
    cast(child_mids as varchar[]) as child_mids,
    cast(restrictions as varchar[]) as restrictions,
    "json" as file_text
from {{ stage_table('ontology') }}
