-- One row per frozen correspondence scorer that says how good it is: whether it decides, and why not.
--
-- One that a rule of point scorer finds near chance, or unstable, decides nothing, unless somebody has said why it does all
-- the same (winnow scorers --trust). One that was frozen before this was measured has no row, and decides.
with numbers as (
    select
        model,
        auc_low,
        p_value,
        list_max([refit.flipped / nullif(refit.clips, 0) for refit in refits])::double as flipped_share
    from {{ ref('stg_scorer') }}
),

failed as (
    {{ first_failed('numbers', ['model'], ['scorer']) }}
)

select
    scorers.*,
    failed.rule as near_chance_rule,
    failed.detail as near_chance,
    failed.rule is null or scorers.trusted_because is not null as decides
from {{ ref('stg_scorer') }} as scorers
left join failed using (model)
