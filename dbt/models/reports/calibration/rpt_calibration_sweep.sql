-- One row per scorer, model and k from 0 to 5: what would pass above mean + k·std, of each kind of pairs and of the clips.
with ks as (select i, i / 4.0::double as k from range(0, 21) as steps(i)),

null_pairs as (select * from {{ ref('stg_calibration') }} where kind = 'non_corresponding'),

-- A clip passes at k = i / 4 where sigma > k, that is where the next quarter at or above sigma comes after the i-th.
quarters as (
    select scorer, model, cast(ceil(sigma * 4) as bigint) as quarter, count(*) as clips
    from {{ ref('fct_scores') }}
    where sound = 'mixture' and sigma is not null
    group by all
)

select
    null_pairs.scorer,
    null_pairs.model,
    ks.k,
    round(null_pairs.mean + ks.k * null_pairs.std, 9) as threshold,
    {%- for kind in ['corresponding', 'random', 'non_corresponding'] %}
    (
        select {{ share_above(
            'own.hist_counts', 'own.hist_start', 'own.hist_width', 'own.n', '(null_pairs.mean + ks.k * null_pairs.std)'
        ) }}
        from {{ ref('stg_calibration') }} as own
        where own.scorer = null_pairs.scorer and own.model = null_pairs.model and own.kind = '{{ kind }}'
    ) as {{ kind }}_share,
    {%- endfor %}
    cast(coalesce(found.clips, 0) as bigint) as clips,
    cast(coalesce(found.clips_kept, 0) as bigint) as clips_kept,
    coalesce(found.clips_kept, 0) / nullif(found.clips, 0) as clips_kept_share
from null_pairs
cross join ks
left join (
    select
        quarters.scorer, quarters.model, ks.i,
        sum(quarters.clips) as clips,
        sum(quarters.clips) filter (where quarters.quarter > ks.i) as clips_kept
    from quarters
    cross join ks
    group by quarters.scorer, quarters.model, ks.i
) as found on found.scorer = null_pairs.scorer and found.model = null_pairs.model and found.i = ks.i
