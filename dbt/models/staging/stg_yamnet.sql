-- One row per clip: the classes that YAMNet hears in its sound (the vectors stay in the lake).
{{ config(materialized = 'by_batch') }}
select
    {{ of_a_sample() }},
    cast(n_patches as bigint) as n_patches,
    {{ finite('speech') }} as speech,
    {{ finite('music') }} as music,
    {{ finite('other') }} as other,
    cast(tag_mids as varchar[]) as tag_mids,
    cast(tag_scores as double[]) as tag_scores,
    tagger,
    model
from {{ stage_table('yamnet') }}
