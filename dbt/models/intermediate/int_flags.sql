-- One row per clip and candidate: whether its sound is to be separated before use (flag 1), and why.
--
-- The voice-over policy of AVSET-10M, as far as it can be known. Labelled by people in AudioSet's terms: flagged where
-- Speech or Music is listed together with another class. That is INFERRED from the sixteen published rows, all of which it
-- reproduces; its authors have not published their rule. Labelled by a tagger: flagged where speech or music, and some
-- other class, reach their thresholds (thresholds.csv, point `separate`).
--
-- Two things the rule leaves open, and how they are answered here. (1) Speech or music that is heard and not listed is what
-- a voice-over is: flagged, "heard, not listed". (2) A tagger that knows no other class cannot hear one: a label that is
-- neither speech nor music says that something else is there, and so does sound outside the spans of speech.
--
-- A clip that no tagger has heard is not flagged (why: `no tags`), so a lake measured before there were tags stays as it was.
{{ config(materialized = 'by_batch') }}
with least as (
    select
        max(value) filter (where rule = 'speech_heard') as speech,
        max(value) filter (where rule = 'music_heard') as music,
        max(value) filter (where rule = 'other_heard') as other,
        max(value) filter (where rule = 'heard_outside_speech') as outside_dbfs
    from {{ ref('thresholds') }}
    where point = 'separate'
),

clips as (
    select
        clip.batch,
        clip.shard_number,
        clip.candidate_id,
        clip.sample_id,
        coalesce(labels.mids, 0) > 0 as is_labelled,
        coalesce(labels.labels, 0) as labels,
        coalesce(labels.lists_speech, false) as lists_speech,
        coalesce(labels.lists_music, false) as lists_music,
        coalesce(labels.lists_under_speech, false) as lists_under_speech,
        coalesce(labels.lists_under_music, false) as lists_under_music,
        tags.outcome = 'ok' as is_heard,
        coalesce(tags.speech >= least.speech, false) as has_speech,
        coalesce(tags.music >= least.music, false) as has_music,
        coalesce(tags.other >= least.other, false) as has_other,
        tags.tagged_by is not distinct from 'tags' as knows_no_other,
        coalesce(tags.outside_dbfs >= least.outside_dbfs, false) as has_outside
    from {{ ref('stg_clip') }} as clip
    cross join least
    left join {{ ref('int_labels') }} as labels using (batch, candidate_id)
    left join {{ ref('int_tags') }} as tags
        on tags.batch = clip.batch
        and tags.shard_number = clip.shard_number
        and tags.sample_id = clip.sample_id
    where clip.outcome = 'ok'
),

judged as (
    select
        *,
        case
            when is_labelled and lists_speech and labels > 1 then 'Speech listed beside another class'
            when is_labelled and lists_music and labels > 1 then 'Music listed beside another class'
            when is_labelled and has_speech and not lists_under_speech then 'speech heard, not listed'
            when is_labelled and has_music and not lists_under_music then 'music heard, not listed'
            when is_labelled then null
            when has_speech and has_other then 'speech heard beside another class'
            when has_speech and has_music then 'speech heard beside music'
            when has_music and has_other then 'music heard beside another class'
            when has_speech and knows_no_other and labels > 0 then 'speech heard beside what a label names'
            when has_music and knows_no_other and labels > 0 then 'music heard beside what a label names'
            when has_speech and knows_no_other and has_outside then 'speech heard beside other sound'
        end as reason
    from clips
)

select
    batch,
    shard_number,
    candidate_id,
    sample_id,
    (coalesce(is_heard, false) and reason is not null)::integer as flag,
    if(coalesce(is_heard, false), reason, 'no tags') as flag_why
from judged
