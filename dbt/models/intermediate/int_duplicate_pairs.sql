-- One row per verified pair of near-duplicates: whether it makes them copies, and whether it ties them to one split.
--
-- Copies are what agrees beyond doubt: well, and for long, or nearly all of a short clip. What agrees less is tied to one
-- split, which costs nothing, and kept, because dropping it would.
-- A pair by sound alone makes no copies where the pictures say something else: that is a music bed, a jingle or a still.
-- It ties the two all the same, unless that sound is had by so many that it would tie a corpus (thresholds.csv, point
-- duplicate).
with limits as (
    select
        max(if(rule = 'too_little_in_common', value, null)) as least_share,
        max(if(rule = 'music_bed', value, null)) as most_sharers,
        max(if(rule = 'too_doubtful', value, null)) as least_agreement,
        max(if(rule = 'too_short_to_tell', value, null)) as least_evidence_s,
        max(if(rule = 'too_far_from_whole', value, null)) as least_wholeness
    from {{ ref('thresholds') }}
    where point = 'duplicate'
),

by_sound as (
    select first_id, second_id from {{ ref('stg_duplicate_pair') }} where kind in ('sound', 'sound_other_picture')
),

agreeing as (
    select
        first_id, second_id,
        -- 0 … 1: of picture and of sound, whichever agrees less
        case kind
            when 'both' then least(picture_score, sound_score)
            when 'sound' then sound_score
            when 'sound_other_picture' then sound_score
            else picture_score
        end as agreement
    from {{ ref('stg_duplicate_pair') }}
),

sharers as (
    select sample_id, count(*) as sharers
    from (
        select first_id as sample_id from by_sound
        union all
        select second_id from by_sound
    )
    group by sample_id
)

select
    pairs.*,
    cast(if(by_sound.first_id is null, 0, greatest(first_one.sharers, second_one.sharers)) as bigint) as sound_sharers,
    coalesce(sound_sharers > limits.most_sharers, false) as is_music_bed,
    pairs.kind != 'sound_other_picture' and not is_music_bed
    and coalesce(not pairs.share < limits.least_share, true)
    and coalesce(not agreeing.agreement < limits.least_agreement, true)
    and coalesce(
        not (
            agreeing.agreement * pairs.length_s < limits.least_evidence_s
            and agreeing.agreement * pairs.share < limits.least_wholeness
        ), true
    ) as is_copy,
    not is_music_bed as ties
from {{ ref('stg_duplicate_pair') }} as pairs
cross join limits
inner join agreeing using (first_id, second_id)
left join by_sound using (first_id, second_id)
left join sharers as first_one on first_one.sample_id = pairs.first_id
left join sharers as second_one on second_one.sample_id = pairs.second_id
