-- A video or a group of one family in two splits: must be none.
with things as (
    select family, 'video' as kind, video_id as thing, split from {{ ref('avel_samples') }}
    union all
    select family, 'group', group_id, split from {{ ref('avel_samples') }}
)

select family, kind, thing, count(distinct split) as splits
from things
group by family, kind, thing
having count(distinct split) > 1
