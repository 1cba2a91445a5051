-- Parts with more videos than var avset_ids_per_part allows, or a video in two parts of its subset: must be none.
{%- set ids = var('avset_ids_per_part') %}
select subset, cast(part as varchar) as part_or_video, count(distinct video_id) as found
from {{ ref('avset_clips') }}
group by subset, part
having count(distinct video_id) > if(subset = 'labelled', {{ ids.labelled }}, {{ ids.captioned }})

union all

select subset, video_id, count(distinct part)
from {{ ref('avset_clips') }}
group by subset, video_id
having count(distinct part) > 1
