-- An uploader, or a video, in two splits of AudioScope: must be none.
with things as (
    select 'uploader' as kind, uploader_key as thing, split from {{ ref('int_audioscope_videos') }}
    union all
    select 'video', video, split from {{ ref('int_audioscope_videos') }}
)

select kind, thing, count(distinct split) as splits
from things
where thing is not null
group by kind, thing
having count(distinct split) > 1
