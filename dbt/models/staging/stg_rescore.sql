-- One row per separated clip: how well what is left of its sound matches what is seen, and what is still in it.
{{ config(materialized = 'by_batch') }}
select
    {{ builtin_scores() }},
    {{ finite('speech') }} as speech,
    {{ finite('music') }} as music
from {{ stage_table('rescore') }}
