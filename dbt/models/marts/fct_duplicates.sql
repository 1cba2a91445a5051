-- One row per verified pair of near-duplicates, the earlier admitted clip first: what they share, and what follows.
select
    pairs.first_id,
    pairs.second_id,
    first_clip.url as first_url,
    second_clip.url as second_url,
    pairs.kind,
    pairs.first_s,
    pairs.second_s,
    round(pairs.second_s - pairs.first_s, 2) as offset_s,
    pairs.length_s,
    pairs.share,
    pairs.speed,
    pairs.mirrored,
    pairs.picture_score,
    pairs.sound_score,
    pairs.version,
    pairs.sound_sharers,
    pairs.is_music_bed,
    pairs.is_copy,
    pairs.ties,
    if(copies.duplicate_of = others.duplicate_of, copies.duplicate_of, null) as group_head,
    first_clip.status as first_status,
    second_clip.status as second_status
from {{ ref('int_duplicate_pairs') }} as pairs
join {{ ref('fct_clips') }} as first_clip on first_clip.sample_id = pairs.first_id
join {{ ref('fct_clips') }} as second_clip on second_clip.sample_id = pairs.second_id
left join {{ ref('int_near_duplicates') }} as copies on copies.sample_id = pairs.first_id
left join {{ ref('int_near_duplicates') }} as others on others.sample_id = pairs.second_id
