-- One row per family, set and split: what it holds beside what its authors published. Empty where nobody labelled.
with members as (
    select family, unnest(if(in_half, ['full', 'half'], ['full'])) as set_name, split, category, video_id, event_seconds
    from {{ ref('avel_samples') }}
    where split is not null
),

sums as (
    select
        family,
        set_name,
        split,
        count(*) as samples,
        count(distinct video_id) as videos,
        count(distinct category) as categories,
        cast(sum(event_seconds) as bigint) as event_seconds
    from members
    group by family, set_name, split
)

select
    sets.family,
    sets.set_name,
    sets.split,
    coalesce(sums.samples, 0) as samples,
    coalesce(sums.videos, 0) as videos,
    coalesce(sums.categories, 0) as categories,
    coalesce(sums.event_seconds, 0) as event_seconds,
    sets.published_samples
from {{ ref('avel_sets') }} as sets
left join sums using (family, set_name, split)
where sets.family in (select family from sums)
