-- One row per rated clip: what its raters' last answers come to.
--
-- A clip has a label where enough raters (audioscope_thresholds) say the same: only what is seen is heard, or only what is
-- not. An unsure answer agrees with nothing.
with answers as (
    select
        *,
        row_number() over (
            partition by sample_id, rater_id
            order by created_at desc nulls last, onscreen_present desc nulls last, offscreen_present desc nulls last
        ) as nth_last
    from {{ ref('stg_rating') }}
),

counted as (
    select
        sample_id,
        min(video) as video,
        min(start_s) as start_s,
        min(end_s) as end_s,
        count(*) as raters,
        count(*) filter (where onscreen_present) as onscreen_yes,
        count(*) filter (where not onscreen_present) as onscreen_no,
        count(*) filter (where offscreen_present) as offscreen_yes,
        count(*) filter (where not offscreen_present) as offscreen_no
    from answers
    where nth_last = 1
    group by sample_id
),

judged as (
    select
        *,
        case
            when raters not in (onscreen_yes, onscreen_no) or raters not in (offscreen_yes, offscreen_no)
                then 'disagreement'
            when onscreen_yes > 0 and offscreen_yes > 0 then 'mixed'
            when onscreen_yes > 0 then 'onscreen_only'
            when offscreen_yes > 0 then 'offscreen_only'
            else 'none'
        end as state
    from counted
)

select
    *,
    if(
        state in ('onscreen_only', 'offscreen_only') and raters >= {{ audioscope_least('enough_raters') }}, state, null
    ) as label
from judged
