-- One row per class of AudioSet's ontology, as it was loaded (`winnow annotate import-ontology`).
select
    ontology.position,
    ontology.mid,
    ontology.name,
    ontology.child_mids,
    ontology.restrictions,
    classes.index as class_index,
    ontology.file_text
from {{ ref('stg_ontology') }} as ontology
left join {{ ref('audioset_classes') }} as classes using (mid)
