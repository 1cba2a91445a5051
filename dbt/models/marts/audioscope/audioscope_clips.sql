-- One row per clip of AudioScope's lists: a listed clip as it is, or a window of a video whose duration is known.
--
-- Windows are var audioscope_window_s long and begin every audioscope_hop_s; a partial one at the end is left out.
{%- set window_ms = (var('audioscope_window_s') * 1000) | round | int %}
{%- set hop_ms = (var('audioscope_hop_s') * 1000) | round | int %}
with stretches as (
    select
        video_id,
        cast(round(start_s * 1000) as bigint) as start_ms,
        cast(round(end_s * 1000) as bigint) as end_ms,
        try_cast(extra ->> 'output_offset_s' as double) as output_offset_s,
        try_cast(extra ->> 'coincidence_p' as double) as coincidence_p
    from {{ audioscope_candidates() }}
    where start_s is not null and end_s is not null
),

-- A clip of a MixIT list has an offset; the same seconds may stand in other lists too, or be a window.
listed as (
    select
        stretches.video_id,
        start_ms,
        end_ms,
        max(output_offset_s) as output_offset_s,
        max(coincidence_p) as coincidence_p,
        bool_or(output_offset_s is not null) as in_mixit,
        bool_or(
            output_offset_s is null
            or coalesce(
                end_ms - start_ms = {{ window_ms }} and start_ms % {{ hop_ms }} = 0 and end_ms <= videos.duration_ms, false
            )
        ) as in_v2
    from stretches
    join {{ ref('int_audioscope_videos') }} as videos using (video_id)
    group by stretches.video_id, start_ms, end_ms
),

windows as (
    select video_id, start_ms, start_ms + {{ window_ms }} as end_ms
    from (
        select video_id, unnest(range(0, duration_ms - {{ window_ms }} + 1, {{ hop_ms }})) as start_ms
        from {{ ref('int_audioscope_videos') }}
        where duration_ms >= {{ window_ms }}
    )
),

clips as (
    select video_id, start_ms, end_ms, output_offset_s, coincidence_p, in_mixit, in_v2 from listed
    union all
    select video_id, start_ms, end_ms, null, null, false, true
    from windows
    anti join listed using (video_id, start_ms, end_ms)
),

named as (
    select
        *,
        substr(
            sha256('clip' || chr(31) || video_id || chr(31) || start_ms || chr(31) || end_ms), 1, 20
        ) as sample_id
    from clips
),

measured as (
    select
        named.* exclude (coincidence_p),
        coalesce(named.coincidence_p, coincidence.coincidence_p) as coincidence_p
    from named
    left join {{ ref('int_audioscope_coincidence') }} as coincidence using (sample_id)
    where
        named.sample_id not in (select sample_id from {{ ref('int_takedowns') }})
        and named.sample_id not in (select value from {{ ref('stg_takedown') }} where kind in ('id', 'copy'))
)

select
    clips.sample_id,
    clips.video_id,
    videos.video,
    clips.start_ms / 1000 as start_s,
    clips.end_ms / 1000 as end_s,
    clips.start_ms,
    clips.end_ms,
    videos.uploader_key,
    videos.split,
    rated.state,
    rated.label,
    clips.coincidence_p,
    clips.in_v2,
    clips.in_v2 and coalesce(clips.coincidence_p >= {{ audioscope_least('coincident') }}, false) as in_v1,
    clips.in_mixit,
    clips.output_offset_s
from measured as clips
join {{ ref('int_audioscope_videos') }} as videos using (video_id)
left join {{ ref('int_audioscope_rated') }} as rated using (sample_id)
