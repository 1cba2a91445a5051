-- The bytes of one clip under two published ids: must be none.
select media_sha256, count(*) as clips
from {{ ref('fct_clips') }}
where status = 'kept' and media_sha256 is not null
group by media_sha256
having count(*) > 1
