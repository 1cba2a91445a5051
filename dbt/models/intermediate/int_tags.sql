-- One row per clip that a tagger has heard: the scores of a network with AudioSet's classes where there are any (PANNs, else
-- YAMNet), else those of the built-in tagger, which knows Speech, Music, Silence and Noise and no others (other is null).
-- tagged_by: which of the three, by the stage's name.
--
-- Silence, noise, the speech's spans and what is heard outside them are the built-in tagger's in all cases.
{{ config(materialized = 'by_batch') }}
select
    tags.batch,
    tags.shard_number,
    tags.sample_id,
    tags.outcome,
    tags.reason,
    case
        when panns.speech is not null then 'panns'
        when yamnet.speech is not null then 'yamnet'
        else 'tags'
    end as tagged_by,
{%- for column in ['speech', 'music', 'other', 'tag_mids', 'tag_scores', 'tagger'] %}
    case tagged_by when 'panns' then panns.{{ column }} when 'yamnet' then yamnet.{{ column }} else tags.{{ column }} end
        as {{ column }},
{%- endfor %}
    if(tagged_by = 'tags', tags.knows, null) as knows,
    tags.silence,
    tags.noise,
    tags.speech_spans,
    tags.outside_dbfs
from {{ ref('stg_tags') }} as tags
left join {{ ref('stg_panns') }} as panns
    on panns.batch = tags.batch
    and panns.shard_number = tags.shard_number
    and panns.sample_id = tags.sample_id
    and panns.outcome = 'ok'
left join {{ ref('stg_yamnet') }} as yamnet
    on yamnet.batch = tags.batch
    and yamnet.shard_number = tags.shard_number
    and yamnet.sample_id = tags.sample_id
    and yamnet.outcome = 'ok'
