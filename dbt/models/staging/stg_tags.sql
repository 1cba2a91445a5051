-- One row per clip: which of the classes that the built-in tagger knows its sound holds.
{{ config(materialized = 'by_batch') }}
select
    {{ of_a_sample() }},
    {{ finite('speech') }} as speech,
    {{ finite('music') }} as music,
    {{ finite('silence') }} as silence,
    {{ finite('noise') }} as noise,
    {{ finite('other') }} as other,
    cast(tag_mids as varchar[]) as tag_mids,
    cast(tag_scores as double[]) as tag_scores,
    cast(knows as varchar[]) as knows,
    cast(speech_spans as double[]) as speech_spans,
    {{ finite('outside_dbfs') }} as outside_dbfs,
    tagger
from {{ stage_table('tags') }}
