-- One row per clip: what is in its file.
{{ config(materialized = 'by_batch') }}
select
    {{ of_a_sample() }},
    {{ finite('duration_s') }} as duration_s,
    container,
    video_codec,
    cast(width as bigint) as width,
    cast(height as bigint) as height,
    {{ finite('fps') }} as fps,
    cast(n_frames as bigint) as n_frames,
    colour_range,
    colour_transfer,
    colour_primaries,
    cast(hdr as boolean) as hdr,
    cast(interlaced as boolean) as interlaced,
    {{ finite('sar') }} as sar,
    audio_codec,
    cast(rate_hz as bigint) as rate_hz,
    cast(channels as bigint) as channels,
    cast(has_audio as boolean) as has_audio,
    {{ finite('loudness_lufs') }} as loudness_lufs,
    {{ finite('peak_dbfs') }} as peak_dbfs,
    {{ finite('silence_ratio') }} as silence_ratio,
    {{ finite('stillness') }} as stillness,
    {{ finite('black_ratio') }} as black_ratio
from {{ stage_table('probe') }}
