-- One row per readable candidate: its subset of AVSET-10M, what goes into its Label, and the part that its video is in.
--
-- Labelled (AVSET-700K's kind): its list names at least one class of AudioSet, the same test as in the voice-over policy.
-- Captioned (the rest of AVSET-10M's kind): all others; their Label is a text, and their classes are a tagger's.
--
-- Parts hold so many videos as they come in the lists, kept or not: AudioSet's 2,041,789 segments give PANNs' 41 parts, and a
-- later list never moves a video to another part.
{%- set ids = var('avset_ids_per_part') %}
with labels as (
    select
        batch,
        candidate_id,
        bool_or(mid is not null) as is_labelled,
        string_agg(coalesce(mid, label), ',' order by position) as mids,
        string_agg(label, ', ' order by position) as words
    from {{ ref('int_avset_labels') }}
    group by batch, candidate_id
),

candidates as (
    select
        candidates.batch,
        candidates.candidate_id,
        candidates.seq,
        candidates.list_path,
        candidates.list_row,
        candidates.video_id,
        candidates.caption,
        greatest(candidates.clips, 1) as stretches,
        if(coalesce(labels.is_labelled, false), 'labelled', 'captioned') as subset,
        if(
            coalesce(labels.is_labelled, false),
            labels.mids,
            coalesce(candidates.caption, labels.words, candidates.title, '')
        ) as label
    from {{ ref('int_candidates') }} as candidates
    left join labels using (batch, candidate_id)
    where candidates.video_id is not null
),

firsts as (
    select
        subset,
        video_id,
        row_number() over (partition by subset order by seq, batch, list_path, list_row) as place
    from candidates
    qualify row_number() over (partition by subset, video_id order by seq, batch, list_path, list_row) = 1
)

select
    candidates.batch,
    candidates.candidate_id,
    candidates.subset,
    candidates.label,
    candidates.stretches,
    (firsts.place - 1)
    // case candidates.subset when 'labelled' then {{ ids.labelled }} else {{ ids.captioned }} end as part
from candidates
join firsts using (subset, video_id)
