-- One row per pair of scorers: on how many clips both have a calibrated score, and how often they say the same.
--
-- Cohen's kappa is what is left of agreement when the agreement that the two would reach by chance is taken away:
-- (n·same − chance) / (n² − chance) with chance = keeps·keeps + drops·drops, all whole numbers. Two scorers may agree because
-- both are right or because both err alike: `correlation` is that of their scores where nothing corresponds.
with scores as (
    select sample_id, scorer, passes
    from {{ ref('fct_scores') }}
    where sound = 'mixture' and passes is not null
),

counted as (
    select
        one.scorer as scorer_a,
        two.scorer as scorer_b,
        count(*) as clips,
        count(*) filter (where one.passes and two.passes) as both_keep,
        count(*) filter (where not one.passes and not two.passes) as both_drop,
        count(*) filter (where one.passes and not two.passes) as only_a_keeps,
        count(*) filter (where two.passes and not one.passes) as only_b_keeps
    from scores as one
    join scores as two on two.sample_id = one.sample_id and two.scorer > one.scorer
    group by one.scorer, two.scorer
),

-- Of the models that scored most clips of either: a corpus may hold several.
models as (
    select scorer, arg_max(model, (clips, model)) as model
    from (select scorer, model, count(*) as clips from {{ ref('fct_scores') }} where passes is not null group by all)
    group by scorer
),

by_chance as (
    select
        *,
        clips::hugeint * (both_keep + both_drop) as same,
        (both_keep + only_a_keeps)::hugeint * (both_keep + only_b_keeps)
        + (both_drop + only_b_keeps)::hugeint * (both_drop + only_a_keeps) as chance
    from counted
)

select
    by_chance.scorer_a,
    by_chance.scorer_b,
    clips,
    both_keep,
    both_drop,
    only_a_keeps,
    only_b_keeps,
    round((same - chance)::double / nullif((clips::hugeint * clips - chance)::double, 0), 6) as kappa,
    pairs.n as pairs,
    pairs.correlation
from by_chance
left join models as one on one.scorer = by_chance.scorer_a
left join models as two on two.scorer = by_chance.scorer_b
left join {{ ref('stg_calibration_pair') }} as pairs
    on pairs.scorer_a = by_chance.scorer_a and pairs.scorer_b = by_chance.scorer_b
    and pairs.model_a = one.model and pairs.model_b = two.model
