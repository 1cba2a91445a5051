-- One row per clip that stood for selection by mutual information: its place in the order, and whether it is selected.
--
-- The order is computed once (`winnow select`); how much of it is taken is the rule beyond_share of thresholds.csv, so
-- any smaller share needs no more than a build. A selection that grew batch by batch is cut in each of its rounds.
with share as (
    select min(value) as value
    from {{ ref('thresholds') }}
    where point = 'select' and measure = 'order_share' and op = '>'
),

clusters as (
    select
        sample_id,
        model,
        visual_clusters,
        audio_clusters,
        row_number() over (partition by sample_id, model order by seq, batch, shard_number) as occurrence
    from {{ ref('stg_cluster') }}
    where outcome = 'ok'
),

ordered as (
    select
        *,
        -- Half a place less than (place + 1), so that a share of n clips takes as many as its product rounds to.
        (round_position + 0.5::double) / round_candidates as order_share
    from {{ ref('stg_selection') }}
)

select
    ordered.sample_id,
    clips.video_id,
    clips.batch,
    clips.source_id,
    clips.url,
    clips.start_s,
    clips.end_s,
    clips.status,
    clips.split,
    ordered.position,
    ordered.round,
    ordered.round_position,
    ordered.round_candidates,
    ordered.order_share,
    ordered.gain,
    coalesce(
        ordered.order_share <= share.value and clips.sample_id is not null
        and (ordered.among = 'admitted' or clips.status = 'kept'),
        false
    ) as is_selected,
    clusters.visual_clusters,
    clusters.audio_clusters,
    ordered.among,
    ordered.pairing,
    ordered.method,
    ordered.model
from ordered
cross join share
left join {{ ref('fct_clips') }} as clips using (sample_id)
left join clusters
    on clusters.sample_id = ordered.sample_id and clusters.model = ordered.model and clusters.occurrence = 1
where clips.first_failed_rule is distinct from 'taken_down'
