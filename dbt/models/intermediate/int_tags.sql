-- One row per clip that a tagger has heard: the scores of a network with all of AudioSet's classes (PANNs) where there are
-- any, else those of the built-in tagger, which knows Speech, Music, Silence and Noise and no others (other is null).
--
-- Silence, noise, the speech's spans and what is heard outside them are the built-in tagger's in both cases.
select
    tags.batch,
    tags.shard_number,
    tags.sample_id,
    tags.outcome,
    tags.reason,
    panns.speech is not null as is_panns,
    if(panns.speech is null, tags.speech, panns.speech) as speech,
    if(panns.speech is null, tags.music, panns.music) as music,
    if(panns.speech is null, tags.other, panns.other) as other,
    tags.silence,
    tags.noise,
    tags.speech_spans,
    tags.outside_dbfs,
    if(panns.speech is null, tags.tag_mids, panns.tag_mids) as tag_mids,
    if(panns.speech is null, tags.tag_scores, panns.tag_scores) as tag_scores,
    if(panns.speech is null, tags.knows, null) as knows,
    if(panns.speech is null, tags.tagger, panns.tagger) as tagger
from {{ ref('stg_tags') }} as tags
left join {{ ref('stg_panns') }} as panns
    on panns.batch = tags.batch
    and panns.shard_number = tags.shard_number
    and panns.sample_id = tags.sample_id
    and panns.outcome = 'ok'
