-- One row per clip: where it stands against every scorer's non-corresponding pairs, and all scorers together.
--
-- The sound is the one that would be published: the residual of a recycled clip, else the mixture. `together` is the
-- weighted Z of the scorers that the clip has (Lipták 1958; Whitlock 2005): the built-in one's z, against the clip's own
-- mismatches, and the sigma of every other model, Σ w·σ / √(Σ w² + 2 Σ w·w·ρ). Both the weights and the correlations ρ are
-- measured on calibration pairs, without a label or a truth:
-- w = d / (1 + r²), with d how far the corresponding pairs lie above the non-corresponding ones and r how widely they
-- scatter, both in deviations of the latter (Fisher's discriminant): a scorer that tells nothing apart counts for nothing;
-- ρ of two scorers over the same non-corresponding pairs (1 where it was not measured): with it the sum of sigmas has
-- mean 0 and deviation 1 over such pairs, as each scorer by itself, however much the scorers have in common. Two things are
-- assumed and not measured, for no table has what all scorers say of one pair: that z is on the scale of the built-in one's
-- sigma, and that the sum is normal. rpt_calibration counts how each scorer by itself keeps to that.
-- The built-in scorer alone, or with others that count for nothing, is its z; so is a clip whose variance is not positive, as
-- no true correlations make it.
{%- set scorers = calibrated_scorers() | reject('in', ['semantic', 'sync']) | list %}
{%- set others = scorers | reject('equalto', 'builtin') | list %}
with sound as (
    select sample_id, if(is_recycled, 'residual', 'mixture') as sound, if(is_recycled, residual_z, z) as z
    from {{ ref('int_clips') }}
    where occurrence = 1
),

weights as (
    select
        own.scorer,
        own.model,
        greatest((own.mean - other.mean) / nullif(other.std, 0), 0)
        / (1 + power(own.std / nullif(other.std, 0), 2)) as weight
    from {{ ref('stg_calibration') }} as own
    join {{ ref('stg_calibration') }} as other
        on other.scorer = own.scorer and other.model = own.model and other.kind = 'non_corresponding'
    where own.kind = 'corresponding'
),

-- One number at most per clip and scorer, so `max` only picks it. What has no sigma has no weight.
wide as (
    select
        sound.sample_id,
        max(sound.z) as z
        {%- for scorer in calibrated_scorers() %},
        max(scores.sigma) filter (where scores.scorer = '{{ scorer }}') as sigma_{{ scorer }},
        max(scores.model) filter (where scores.scorer = '{{ scorer }}') as model_{{ scorer }},
        coalesce(max(weights.weight) filter (where scores.scorer = '{{ scorer }}' and scores.sigma is not null), 0)
            as weight_{{ scorer }}
        {%- endfor %}
    from sound
    left join {{ ref('fct_scores') }} as scores using (sample_id, sound)
    left join weights using (scorer, model)
    group by sound.sample_id
),

summed as (
    select
        wide.*,
        weight_builtin * z
        {%- for scorer in others %} + weight_{{ scorer }} * coalesce(sigma_{{ scorer }}, 0){% endfor %} as total,
        {% for scorer in scorers %}{{ '+ ' if not loop.first }}power(weight_{{ scorer }}, 2) {% endfor %}
        {%- for one in scorers %}{% for other in scorers if one < other %}
        + 2 * weight_{{ one }} * weight_{{ other }} * coalesce({{ one }}_{{ other }}.correlation, 1)
        {%- endfor %}{% endfor %} as variance,
        variance > 0 and greatest(weight_{{ others | join(', weight_') }}) > 0 as is_sum
    from wide
    {%- for one in scorers %}{% for other in scorers if one < other %}
    left join {{ ref('stg_calibration_pair') }} as {{ one }}_{{ other }}
        on {{ one }}_{{ other }}.scorer_a = '{{ one }}' and {{ one }}_{{ other }}.scorer_b = '{{ other }}'
        and {{ one }}_{{ other }}.model_a = wide.model_{{ one }} and {{ one }}_{{ other }}.model_b = wide.model_{{ other }}
    {%- endfor %}{% endfor %}
)

select
    sample_id,
    {%- for scorer in calibrated_scorers() %}
    sigma_{{ scorer }},
    {%- endfor %}
    sigma_{{ var('avset_scorer') }} as sigma_avset,
    if(is_sum and z is not null, round(total / sqrt(variance), 6), z) as together,
    -- Who is in it, and with which model, in one order.
    if(
        is_sum,
        concat_ws(', '{% for scorer in scorers %}, if(weight_{{ scorer }} > 0, '{{ scorer }}', null){% endfor %}),
        'builtin'
    ) as together_scorers,
    if(
        is_sum,
        concat_ws(', '{% for scorer in scorers %}, if(weight_{{ scorer }} > 0, model_{{ scorer }}, null){% endfor %}),
        model_builtin
    ) as together_models
from summed
