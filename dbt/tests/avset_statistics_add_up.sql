-- Figures of this release that contradict each other: must be none. (Published ones may: they are shown as they are.)
select dataset, problem
from {{ ref('rpt_avset_statistics') }}
where origin = 'this release' and (problem is not null or not hours_hold or parts_hold is false)

union all

select 'this release', 'parts are not the whole: a clip is in no subset, or in two'
from {{ ref('rpt_avset_statistics') }}
where origin = 'this release' and dataset = 'this release' and parts_hold is distinct from true

union all

select 'this release', 'not the total of rpt_statistics'
from (select count(*) as clips, coalesce(sum(end_ms - start_ms), 0) as clip_ms from {{ ref('avset_clips') }}) as ours
cross join (
    select coalesce(sum(clips), 0) as clips, coalesce(sum(clip_ms), 0) as clip_ms
    from {{ ref('rpt_statistics') }}
    where scope = 'total'
) as total
where ours.clips != total.clips or ours.clip_ms != total.clip_ms
