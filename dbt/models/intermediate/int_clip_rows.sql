-- One row per clip and candidate that leads to it, with what every stage measured: what its batch alone says of it.
{{ config(materialized = 'by_batch') }}
select
    clips.* exclude (outcome, reason, detail),
    candidates.uploader_key,
    candidates.source_sha256,
    coalesce(candidates.labels[1], 'unlabelled') as label,
    probe.container,
    probe.video_codec,
    probe.width,
    probe.height,
    probe.fps,
    probe.n_frames,
    probe.colour_range,
    probe.colour_transfer,
    probe.colour_primaries,
    probe.hdr,
    probe.interlaced,
    probe.sar,
    probe.audio_codec,
    probe.rate_hz,
    probe.channels,
    probe.has_audio,
    probe.loudness_lufs,
    probe.peak_dbfs,
    probe.silence_ratio,
    probe.stillness,
    probe.black_ratio,
    correspond.score,
    correspond.z,
    correspond.z_error,
    correspond.semantic,
    correspond.sync,
    correspond.fold,
    correspond.model,
    coalesce(flags.flag, 0) as flag,
    coalesce(flags.flag_why, if(flags.flag is null, 'no tags', null)) as flag_why,
    coalesce(flags.flag = 1 and rescore.outcome = 'ok' and rescore.z is not null, false) as is_recycled,
    tags.tagger,
    tags.knows,
    tags.speech,
    tags.music,
    tags.other,
    tags.tag_mids,
    tags.tag_scores,
    separate.separator,
    separate.removed_db,
    rescore.score as residual_score,
    rescore.z as residual_z,
    rescore.z_error as residual_z_error,
    rescore.speech as residual_speech,
    rescore.model as residual_model,
    case
        when probe.outcome = 'failed' then 'probe: ' || probe.reason
        when visual.outcome = 'failed' then 'visual: ' || visual.reason
        when audio.outcome = 'failed' then 'audio: ' || audio.reason
        when tags.outcome = 'failed' then 'tags: ' || tags.reason
        when correspond.outcome = 'failed' then 'correspond: ' || correspond.reason
    end as failed_stage,
    probe.outcome is null or visual.outcome is null or audio.outcome is null or correspond.outcome is null as is_pending,
    coalesce(
        probe.outcome = 'ok' and visual.outcome = 'ok' and audio.outcome = 'ok' and correspond.outcome = 'ok'
        and tags.outcome is distinct from 'failed'
        and clips.duration_s is not null and probe.has_audio is not null and probe.silence_ratio is not null
        and probe.stillness is not null and probe.black_ratio is not null and correspond.z is not null,
        false
    ) as is_measured
from {{ ref('stg_clip') }} as clips
join {{ ref('int_candidates') }} as candidates using (batch, candidate_id)
left join {{ ref('stg_probe') }} as probe using (batch, shard_number, sample_id)
left join {{ ref('stg_visual') }} as visual using (batch, shard_number, sample_id)
left join {{ ref('stg_audio') }} as audio using (batch, shard_number, sample_id)
left join {{ ref('stg_correspond') }} as correspond using (batch, shard_number, sample_id)
left join {{ ref('int_flags') }} as flags using (batch, shard_number, candidate_id, sample_id)
left join {{ ref('int_tags') }} as tags using (batch, shard_number, sample_id)
left join {{ ref('stg_separate') }} as separate using (batch, shard_number, sample_id)
left join {{ ref('stg_rescore') }} as rescore using (batch, shard_number, sample_id)
where clips.outcome = 'ok'
