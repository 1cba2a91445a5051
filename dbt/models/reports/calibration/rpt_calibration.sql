-- One row per scorer and model: the normal fit to its non-corresponding pairs, the threshold, and what lies below it.
--
-- `rule_sigma` is what low_correspondence compares: that 5 % of non-corresponding pairs lie above 1.645 is true of a normal
-- distribution, and here it is counted, of each scorer by itself (in the histogram: within a bin shares are shared out evenly).
with null_pairs as (select * from {{ ref('stg_calibration') }} where kind = 'non_corresponding'),

{% for kind in ['corresponding', 'random'] -%}
{{ kind }}_pairs as (select * from {{ ref('stg_calibration') }} where kind = '{{ kind }}'),

{% endfor -%}
clips as (
    select scorer, model, count(*) as clips, count(*) filter (where not passes) as clips_below
    from {{ ref('fct_scores') }}
    where sound = 'mixture'
    group by scorer, model
)

select
    scorer,
    model,
    null_pairs.basis,
    null_pairs.n as non_corresponding_pairs,
    random_pairs.n as random_pairs,
    corresponding_pairs.n as corresponding_pairs,
    null_pairs.mean,
    null_pairs.std,
    null_pairs.skewness,
    null_pairs.kurtosis,
    null_pairs.above_3std,
    random_pairs.mean as random_mean,
    random_pairs.std as random_std,
    corresponding_pairs.mean as corresponding_mean,
    corresponding_pairs.std as corresponding_std,
    settings.k,
    round(null_pairs.mean + settings.k * null_pairs.std, 9) as threshold,
    {%- for kind, pairs in [('corresponding', 'corresponding_pairs'), ('random', 'random_pairs'), ('non_corresponding', 'null_pairs')] %}
    round(1 - {{ share_above(
        pairs ~ '.hist_counts', pairs ~ '.hist_start', pairs ~ '.hist_width', pairs ~ '.n',
        '(null_pairs.mean + settings.k * null_pairs.std)'
    ) }}, 9) as {{ kind }}_below_share,
    {%- endfor %}
    settings.rule_sigma,
    {%- for kind, pairs in [('corresponding', 'corresponding_pairs'), ('non_corresponding', 'null_pairs')] %}
    {{ share_above(
        pairs ~ '.hist_counts', pairs ~ '.hist_start', pairs ~ '.hist_width', pairs ~ '.n',
        '(null_pairs.mean + settings.rule_sigma * null_pairs.std)'
    ) }} as {{ kind }}_above_rule_share,
    {%- endfor %}
    coalesce(clips.clips, 0) as clips,
    coalesce(clips.clips_below, 0) as clips_below,
    coalesce(clips.clips_below, 0) / nullif(clips.clips, 0) as clips_below_share
from null_pairs
full join clips using (scorer, model)
left join corresponding_pairs using (scorer, model)
left join random_pairs using (scorer, model)
cross join (
    select
        {{ calibration_k() }} as k,
        (select value from {{ ref('thresholds') }} where rule = 'low_correspondence') as rule_sigma
) as settings
