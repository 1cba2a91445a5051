-- One row per hundredth of the candidates: how much mutual information the clips up to there hold together.
--
-- Gains are added as decimals, so their sum does not depend on the order of addition. Of a selection that grew batch by
-- batch, a hundredth is one of each round, and the sum is exact at the end of what was put in order only.
with clips as (
    select
        cast(greatest(1, ceil(order_share * 100)) as bigint) as percent,
        round,
        cast(gain as decimal(18, 12)) as gain,
        is_selected
    from {{ ref('acav_clips') }}
    where position is not null
),

steps as (
    select
        percent,
        count(*) as clips,
        count(*) filter (where is_selected) as clips_selected,
        sum(gain) as gain
    from clips
    group by percent
)

select
    percent,
    cast(sum(clips) over up_to as bigint) as clips,
    cast(sum(clips_selected) over up_to as bigint) as clips_selected,
    cast(sum(gain) over up_to as double) as information_nats,
    cast(sum(gain) over up_to as double) / cast(nullif(sum(gain) over (), 0) as double) as information_share
from steps
window up_to as (order by percent rows between unbounded preceding and current row)
