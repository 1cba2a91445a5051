-- One row per clip: whether its PANNs features were computed, and by which checkpoint (the vectors stay in the lake).
{{ config(materialized = 'by_batch') }}
select
    {{ of_a_sample() }},
    cast(n_windows as bigint) as n_windows,
    {{ finite('speech') }} as speech,
    {{ finite('music') }} as music,
    {{ finite('other') }} as other,
    cast(tag_mids as varchar[]) as tag_mids,
    cast(tag_scores as double[]) as tag_scores,
    tagger,
    model
from {{ stage_table('panns') }}
