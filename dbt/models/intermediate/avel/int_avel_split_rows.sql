-- One row per way in which a sample of a set ties a video, its uploader and its bytes together, with the split that a
-- published list gives it.
--
-- A sample is a clip with a category whose event is in it somewhere. Where lists give it several splits, the later one
-- (split_shares) counts: what is tested on is never trained on.
with samples as (
    select *, {{ avel_name('video', 'start_s') }} as name
    from {{ ref('int_avel_labels') }}
    where list_contains(labels, 1) and video_id is not null
),

keys as (
    select family, sample_id, category, unnest([name, video, video || '&' || category]) as key
    from samples
),

given as (
    select keys.family, keys.sample_id, keys.category, max(shares.position) as position
    from keys
    join {{ ref('stg_given_split') }} as lists using (family, key)
    join {{ ref('split_shares') }} as shares on shares.split = lists.split
    group by keys.family, keys.sample_id, keys.category
),

known as (
    select distinct video_id, uploader_key, source_sha256
    from {{ ref('int_candidates') }}
    semi join samples using (video_id)
    where uploader_key is not null or source_sha256 is not null
)

select distinct
    samples.family,
    samples.sample_id,
    samples.video_id,
    known.uploader_key,
    known.source_sha256,
    samples.category as label,
    shares.split as given_split
from samples
left join known using (video_id)
left join given using (family, sample_id, category)
left join {{ ref('split_shares') }} as shares using (position)
