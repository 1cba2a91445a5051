-- One row per mixture of mixtures: the picture of clip 1, the sound of clip 1 and clip 2.
with pairs as (
    {{ audioscope_pairs(ref('int_audioscope_firsts'), ref('int_audioscope_pool'), var('audioscope_seed')) | indent(4) }}
),

used as (
    select sample_id, video_id, video, start_s, end_s, output_offset_s
    from {{ ref('audioscope_clips') }}
    where sample_id in (select clip1_sample_id from pairs union select clip2_sample_id from pairs)
)

select
    substr(
        sha256(concat_ws(chr(31), 'mixture', pairs.list_version, pairs.clip1_sample_id, pairs.clip2_sample_id)), 1, 20
    ) as mixture_id,
    pairs.list_version,
    pairs.split,
    pairs.label,
    pairs.position,
    pairs.clip1_sample_id,
    clip1.video_id as clip1_video_id,
    clip1.video as clip1_video,
    clip1.start_s as clip1_start_s,
    clip1.end_s as clip1_end_s,
    clip1.output_offset_s as clip1_output_offset_s,
    pairs.clip2_sample_id,
    clip2.video_id as clip2_video_id,
    clip2.video as clip2_video,
    clip2.start_s as clip2_start_s,
    clip2.end_s as clip2_end_s,
    clip2.output_offset_s as clip2_output_offset_s
from pairs
join used as clip1 on clip1.sample_id = pairs.clip1_sample_id
join used as clip2 on clip2.sample_id = pairs.clip2_sample_id
