-- One row per label of the lists: which class of AudioSet it is, if any, and how many candidates and kept clips have it.
--
-- A label that the class list does not know is kept with its clips and counted here: nothing is lost in silence.
with labels as (
    select distinct batch, candidate_id, label, mid, name, is_class
    from {{ ref('int_avset_labels') }}
),

clips as (
    select batch, candidate_id, count(*) as clips, count(*) filter (where status = 'kept') as clips_kept
    from {{ ref('fct_clips') }}
    group by batch, candidate_id
)

select
    labels.label,
    labels.mid,
    coalesce(labels.name, ontology.name) as name,
    labels.is_class,
    ontology.mid is not null as in_ontology,
    count(*) as candidates,
    cast(coalesce(sum(clips.clips), 0) as bigint) as clips,
    cast(coalesce(sum(clips.clips_kept), 0) as bigint) as clips_kept
from labels
left join clips using (batch, candidate_id)
left join {{ ref('stg_ontology') }} as ontology on ontology.mid = labels.mid
group by labels.label, labels.mid, labels.name, labels.is_class, ontology.mid, ontology.name
