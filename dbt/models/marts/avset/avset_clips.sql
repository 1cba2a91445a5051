-- One row per kept clip: what AVSET-10M's files say of it, and its part.
--
-- AVC is the score of the one scorer that var avset_scorer names. Of a flagged clip that came back it is the residual's: what
-- its user has after the separation. Whether AVSET-10M's is that or the mixture's is not known.
--
-- A pseudo-label is a class of the tagger's best that reaches `class_heard` of thresholds.csv. AVSET-10M publishes categories
-- with confidence scores; how many, and from which score on, is not known.
with scores as (
    select sample_id, sound, score, model
    from {{ ref('int_scores') }}
    where scorer = '{{ var('avset_scorer') }}'
),

names as (
    select map_from_entries(list({'k': mid, 'v': name} order by mid)) as name_of
    from {{ ref('audioset_classes') }}
),

least as (select value as score from {{ ref('thresholds') }} where rule = 'class_heard')

select
    clips.sample_id,
    candidates.subset,
    candidates.part,
    coalesce(
        nullif(regexp_extract(clips.url, '^https?://(?:www\.|m\.|music\.)?youtube\.com/watch\?(?:[^#]*&)?v=([A-Za-z0-9_-]{11})(?:[&#]|$)', 1), ''),
        nullif(regexp_extract(clips.url, '^https?://(?:www\.)?youtu\.be/([A-Za-z0-9_-]{11})(?:[?#/]|$)', 1), ''),
        nullif(
            regexp_extract(
                clips.url,
                '^https?://(?:www\.|m\.)?youtube(?:-nocookie)?\.com/(?:embed|v|e|shorts|live)/([A-Za-z0-9_-]{11})(?:[?#/]|$)', 1
            ),
            ''
        )
    ) as youtube_id,
    coalesce(youtube_id, clips.url) as video,
    clips.start_s,
    clips.end_s,
    clips.start_ms,
    clips.end_ms,
    candidates.label,
    scores.score as avc,
    scores.sound as avc_sound,
    '{{ var('avset_scorer') }}' as avc_scorer,
    scores.model as avc_model,
    cast(clips.flag as bigint) as flag,
    clips.flag_why,
    clips.is_recycled,
    list_filter(
        list_transform(
            range(1, len(coalesce(clips.tag_mids, [])) + 1),
            lambda place: {
                'mid': clips.tag_mids[place], 'name': names.name_of[clips.tag_mids[place]], 'score': clips.tag_scores[place]
            }
        ),
        lambda said: said.score >= least.score
    ) as pseudo_label,
    clips.tagger,
    clips.knows,
    clips.video_id,
    clips.split
from {{ ref('fct_clips') }} as clips
cross join names
cross join least
join {{ ref('int_avset_candidates') }} as candidates using (batch, candidate_id)
left join scores
    on scores.sample_id = clips.sample_id
    and scores.sound = if(clips.is_recycled, 'residual', 'mixture')
where clips.status = 'kept'
