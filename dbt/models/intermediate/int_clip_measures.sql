-- One row per clip and candidate: its numbers that a rule may name before release.
--
-- A clip that var avset_scorer has no score of, for the sound that would be published, has no threshold either: it is
-- neither calibrated nor not (null), and a rule of its own says so.
with avset as (
    select sample_id as scored_id, sound
    from {{ ref('int_scores') }}
    where scorer = '{{ var('avset_scorer') }}'
)

select
    batch,
    candidate_id,
    sample_id,
    (takedowns.sample_id is not null)::integer::double as is_taken_down,
    (quarantined.sample_id is not null)::integer::double as is_quarantined,
    occurrence::double as occurrence,
    media_copy::double as media_copy,
    duration_s,
    has_audio::integer::double as has_audio,
    loudness_lufs,
    peak_dbfs,
    silence_ratio,
    stillness,
    black_ratio,
    width::double as width,
    height::double as height,
    fps,
    rate_hz::double as rate_hz,
    channels::double as channels,
    av_offset_s,
    hdr::integer::double as is_hdr,
    interlaced::integer::double as is_interlaced,
    (colour_range = 'full')::integer::double as is_full_range,
    (rotation <> 0)::integer::double as is_turned,
    sar,
    sound_tracks::double as sound_tracks,
    times_repaired::integer::double as is_repaired,
    score,
    z,
    semantic,
    sync,
    speech,
    music,
    residual_z,
    -- Of all calibrated scorers together where there are several (int_sigmas); of what is left where a clip is recycled.
    case
        when flag = 0 then coalesce(sigmas.together, z)
        when is_recycled then coalesce(sigmas.together, residual_z)
    end as effective_z,
    -- Whether the scorer behind effective_z decides. It is the built-in one's to say while no other has a part in the sum.
    (coalesce(sigmas.together_scorers, 'builtin') != 'builtin' or coalesce(scorers.decides, true))::integer::double
        as scorer_decides,
    (flag = 1 and not is_recycled)::integer::double as is_covered,
    {%- for scorer in calibrated_scorers() %}
    sigmas.sigma_{{ scorer }},
    {%- endfor %}
    sigmas.sigma_avset,
    (avset.scored_id is not null)::integer::double as has_avset_score,
    if(avset.scored_id is not null, (sigmas.sigma_avset is not null)::integer::double, null) as is_calibrated,
    is_measured::integer::double as is_measured
from {{ ref('int_clips') }} as clips
left join {{ ref('int_takedowns') }} as takedowns using (sample_id)
left join {{ ref('stg_quarantined') }} as quarantined using (batch, sample_id)
left join {{ ref('int_sigmas') }} as sigmas using (sample_id)
left join {{ ref('int_scorers') }} as scorers on scorers.model = if(clips.is_recycled, clips.residual_model, clips.model)
left join avset
    on avset.scored_id = clips.sample_id
    and avset.sound = if(clips.is_recycled, 'residual', 'mixture')
