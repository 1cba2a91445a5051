-- One row per scorer and model that scored admitted clips: how well it tells pairs apart that it was not fitted on.
select
    if(scored.stage = 'correspond', 'builtin', scored.stage) as scorer,
    scored.model,
    count(distinct scored.batch) as batches,
    cast(sum(scored.ok) as bigint) as clips_scored,
    quality.auc,
    quality.auc_low,
    quality.auc_high,
    quality.p_value,
    quality.clips as clips_measured,
    quality.groups as videos_measured,
    quality.clips_effective,
    quality.accepted as accepted_share,
    quality.is_trusted,
    quality.near_chance,
    quality.trusted_because,
    quality.decides
from {{ ref('stg_manifests') }} as scored
left join {{ ref('int_scorers') }} as quality on scored.stage = 'correspond' and quality.model = scored.model
where scored.stage in ('correspond', 'two_tower', 'ridge', 'joint', 'bridge') and scored.model is not null
group by all
