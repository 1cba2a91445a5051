-- A mixture whose clip 1 has not its list's label, whose clips are of two splits, one uploader or one video, or whose
-- clip 2 is not of the list it is drawn from: must be none.
with clips as (
    select *, coalesce(uploader_key, video_id) as owner
    from {{ ref('audioscope_clips') }}
    where
        sample_id in (
            select clip1_sample_id from {{ ref('audioscope_mixtures') }}
            union
            select clip2_sample_id from {{ ref('audioscope_mixtures') }}
        )
)

select mixtures.mixture_id
from {{ ref('audioscope_mixtures') }} as mixtures
left join clips as clip1 on clip1.sample_id = mixtures.clip1_sample_id
left join clips as clip2 on clip2.sample_id = mixtures.clip2_sample_id
where
    not coalesce(
        mixtures.label in (clip1.label, 'any')
        and clip1.split = mixtures.split
        and clip2.split = mixtures.split
        and clip1.owner != clip2.owner
        and clip1.video_id != clip2.video_id
        and case mixtures.list_version
            when 'v2' then clip1.in_v2 and clip2.in_v2
            when 'v1' then clip1.in_v1 and clip2.in_v1 and clip2.label = 'offscreen_only'
            else clip1.in_mixit and clip2.in_mixit
        end,
        false
    )
