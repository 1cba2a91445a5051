-- A kept clip without a group, a split or a number that a rule compares: must be none.
select sample_id
from {{ ref('fct_clips') }}
where
    status = 'kept'
    and (
        split is null or group_id is null or first_failed_rule is not null
        or z is null or duration_s is null or has_audio is null or silence_ratio is null or stillness is null
        or black_ratio is null
    )
