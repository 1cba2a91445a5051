-- One row per group of copies, and per music bed: its head, how many clips it has, and why they are together.
--
-- A music bed is named by the first clip that has it; its clips are all kept.
with in_groups as (
    select group_head as head, 'copies' as kind, first_id, second_id, pairs.kind as why, share, length_s
    from {{ ref('fct_duplicates') }} as pairs
    where group_head is not null and is_copy

    union all

    select first_id, 'music_bed', first_id, second_id, kind, share, length_s
    from {{ ref('fct_duplicates') }}
    where is_music_bed
),

clips as (
    select head, kind, count(distinct sample_id) as clips
    from (
        select head, kind, first_id as sample_id from in_groups
        union all
        select head, kind, second_id from in_groups
    )
    group by head, kind
)

select
    in_groups.kind,
    in_groups.head,
    heads.url,
    clips.clips,
    count(*) as pairs,
    count(*) filter (where in_groups.why = 'both') as by_both,
    count(*) filter (where in_groups.why in ('picture', 'picture_other_sound')) as by_picture,
    count(*) filter (where in_groups.why in ('sound', 'sound_other_picture')) as by_sound,
    min(in_groups.share) as least_share,
    min(in_groups.length_s) as least_length_s
from in_groups
join clips using (head, kind)
join {{ ref('fct_clips') }} as heads on heads.sample_id = in_groups.head
group by in_groups.kind, in_groups.head, heads.url, clips.clips
