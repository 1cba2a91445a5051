-- One row per clip and list for which it is the first clip of mixtures, and of how many.
select
    lists.list_version,
    lists.split,
    lists.label,
    lists.mixtures_per_clip as ratio,
    coalesce(clips.uploader_key, clips.video_id) as owner,
    clips.sample_id
from {{ ref('audioscope_clips') }} as clips
join {{ ref('audioscope_lists') }} as lists using (split)
where
    lists.mixtures_per_clip > 0
    and lists.label in (clips.label, 'any')
    and case lists.list_version when 'v2' then clips.in_v2 when 'v1' then clips.in_v1 else clips.in_mixit end
