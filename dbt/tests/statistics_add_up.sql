-- Parts that do not sum to the whole, or more unique hours than clip-hours: must be none.
with splits as (
    select sum(clips) as clips, sum(videos) as videos, sum(clip_ms) as clip_ms, sum(unique_ms) as unique_ms
    from {{ ref('rpt_statistics') }}
    where scope = 'split'
),

total as (
    select clips, videos, clip_ms, unique_ms from {{ ref('rpt_statistics') }} where scope = 'total'
)

select 'splits do not sum to the total' as problem
from splits
cross join total
where splits != total

union all

select 'more unique than clip time in ' || scope || ' ' || split || ' ' || label
from {{ ref('rpt_statistics') }}
where unique_ms > clip_ms

union all

select 'total is not the index'
from total
where clips != (select count(*) from {{ ref('splits') }})
