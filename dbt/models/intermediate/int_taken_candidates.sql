-- One row per candidate of which nothing but its ids may be shown: all of its clips were taken down or, of one that gave
-- none, one of its own names.
with clips as (
    select clips.batch, clips.candidate_id, min(taken.detail) as detail
    from {{ ref('int_clips') }} as clips
    left join {{ ref('int_takedowns') }} as taken using (sample_id)
    group by clips.batch, clips.candidate_id
    having count(*) = count(taken.sample_id)
),

clipless as (select * from {{ ref('int_candidates') }} where clips = 0),

keys as (
    select batch, candidate_id, 'id' as kind, unnest([candidate_id, video_id, source_id]) as value from clipless
    union all
    select batch, candidate_id, 'uploader', uploader_key from clipless
    union all
    select batch, candidate_id, 'source', url from clipless
    union all
    select batch, candidate_id, 'file', unnest([content_sha256, source_sha256]) from clipless
    union all
    select batch, candidate_id, 'copy', unnest([video_id, content_sha256, source_sha256]) from clipless
)

select batch, candidate_id, detail from clips

union all

select keys.batch, keys.candidate_id, max({{ taken_down_because() }}) as detail
from keys
join {{ ref('stg_takedown') }} as taken using (kind, value)
group by keys.batch, keys.candidate_id
