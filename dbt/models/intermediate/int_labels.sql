-- One row per candidate with labels: which of them are classes of AudioSet, by id or by display name.
--
-- A list whose labels are AudioSet's was labelled by people in AudioSet's terms (AudioSet, VGGSound where the names are the
-- same but for "playing" before an instrument); any other label is a word that only says that something is there.
{{ config(materialized = 'by_batch') }}
with listed as (
    select batch, candidate_id, trim(unnest(labels)) as label
    from {{ ref('stg_ingest') }}
    where outcome = 'ok' and labels is not null
),

named as (
    select
        listed.batch,
        listed.candidate_id,
        listed.label,
        {{ class_mid('listed.label') }} as mid,
        coalesce(by_id.under_speech, by_name.under_speech, 0) as under_speech,
        coalesce(by_id.under_music, by_name.under_music, 0) as under_music
    from listed
    {{ join_classes('listed.label') }}
    where listed.label != ''
)

select
    batch,
    candidate_id,
    count(distinct coalesce(mid, label)) as labels,
    count(distinct mid) as mids,
    bool_or(coalesce(mid = '/m/09x0r', false)) as lists_speech,
    bool_or(coalesce(mid = '/m/04rlf', false)) as lists_music,
    bool_or(under_speech = 1) as lists_under_speech,
    bool_or(under_music = 1) as lists_under_music
from named
group by batch, candidate_id
