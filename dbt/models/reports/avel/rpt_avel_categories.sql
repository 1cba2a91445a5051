-- One row per family, set and category: its samples by split, and how long its events are.
with members as (
    select *, unnest(if(in_half, ['full', 'half'], ['full'])) as set_name
    from {{ ref('avel_samples') }}
    where split is not null
)

select
    family,
    set_name,
    category,
    count(*) as samples,
    count(distinct video_id) as videos,
    count(*) filter (where split = 'train') as train,
    count(*) filter (where split = 'val') as val,
    count(*) filter (where split = 'test') as test,
    cast(sum(event_seconds) as bigint) as event_seconds,
    count(*) filter (where event_seconds = 10) as whole,
    count(*) filter (where is_unanimous and annotators > 1) as agreed,
    count(*) filter (where annotators > 1) as compared
from members
group by family, set_name, category
