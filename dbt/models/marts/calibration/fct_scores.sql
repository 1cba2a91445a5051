-- One row per clip, scorer and sound: the score, and where it stands against the scorer's non-corresponding pairs.
select
    scores.sample_id,
    scores.scorer,
    scores.sound,
    scores.score,
    scores.model,
    null_pairs.mean,
    null_pairs.std,
    round((scores.score - null_pairs.mean) / nullif(null_pairs.std, 0), 6) as sigma,
    settings.k,
    round(null_pairs.mean + settings.k * null_pairs.std, 9) as threshold,
    sigma > settings.k as passes
from {{ ref('int_scores') }} as scores
anti join {{ ref('int_takedowns') }} as taken on taken.sample_id = scores.sample_id
cross join (select {{ calibration_k() }} as k) as settings
left join {{ ref('stg_calibration') }} as null_pairs
    on null_pairs.kind = 'non_corresponding'
    and null_pairs.scorer = scores.scorer
    and null_pairs.model = scores.model
