-- One row per batch: how many of its clips stood for selection, are in order and are selected.
select
    batch,
    count(*) as candidates,
    count(position) as clips_in_order,
    count(*) filter (where is_selected) as clips_selected,
    count(*) filter (where is_selected) / count(*) as selected_share,
    min(round) as first_round,
    max(round) as last_round
from {{ ref('acav_clips') }}
where batch is not null
group by batch
