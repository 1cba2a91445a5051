-- A group, a video, an uploader or a file in two splits: must be none.
with things as (
    unpivot (select split, group_id, video_id, uploader_key, source_sha256 from {{ ref('splits') }})
    on group_id, video_id, uploader_key, source_sha256
    into name kind value thing
)

select kind, thing, count(distinct split) as splits
from things
group by kind, thing
having count(distinct split) > 1
