-- One row per rated clip: its raters' last answers, what they come to, and whether the corpus has the clip.
with clips as (
    select sample_id, video, start_s, end_s, split from {{ ref('audioscope_clips') }} where state is not null
),

gone as (
    select {{ audioscope_video() }} as video
    from {{ ref('int_candidates') }}
    semi join {{ ref('int_taken_candidates') }} using (batch, candidate_id)
)

select
    rated.sample_id,
    coalesce(clips.video, rated.video) as video,
    coalesce(clips.start_s, rated.start_s) as start_s,
    coalesce(clips.end_s, rated.end_s) as end_s,
    rated.raters,
    rated.onscreen_yes,
    rated.onscreen_no,
    rated.offscreen_yes,
    rated.offscreen_no,
    rated.state,
    rated.label,
    clips.sample_id is not null as in_corpus,
    clips.split
from {{ ref('int_audioscope_rated') }} as rated
left join clips using (sample_id)
anti join {{ ref('int_takedowns') }} as taken on taken.sample_id = rated.sample_id
anti join gone on gone.video = rated.video
