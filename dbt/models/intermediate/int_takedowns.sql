-- One row per clip that was taken down, by its id, its uploader, its address or its file, or as a copy of one that was.
--
-- `detail` is what is published of it: which kind of name, when and why, never the name. A copy that `winnow takedown` or
-- `winnow clean` noted as one (kind `copy`) stays taken down, and copies of it are not: only what was asked for spreads.
with keys as (
    select sample_id, 'id' as kind, sample_id as value from {{ ref('int_clips') }}
    union all
    select sample_id, 'id', video_id from {{ ref('int_clips') }}
    union all
    select clips.sample_id, 'id', candidates.source_id
    from {{ ref('int_clips') }} as clips
    join {{ ref('int_candidates') }} as candidates using (batch, candidate_id)
    union all
    select sample_id, 'uploader', uploader_key from {{ ref('int_clips') }}
    union all
    select clips.sample_id, 'source', candidates.url
    from {{ ref('int_clips') }} as clips
    join {{ ref('int_candidates') }} as candidates using (batch, candidate_id)
    union all
    select sample_id, 'file', source_sha256 from {{ ref('int_clips') }}
    union all
    select sample_id, 'copy', unnest([sample_id, video_id, source_sha256]) from {{ ref('int_clips') }}
),

direct as (
    select
        keys.sample_id,
        max({{ taken_down_because() }}) as detail,
        bool_or(kind != 'copy') as is_asked_for
    from keys
    join {{ ref('stg_takedown') }} as taken using (kind, value)
    group by keys.sample_id
),

either as (
    select first_id as sample_id, second_id as other_id from {{ ref('int_duplicate_pairs') }} where is_copy
    union all
    select second_id, first_id from {{ ref('int_duplicate_pairs') }} where is_copy
),

copies as (
    select either.sample_id, min('a copy of ' || direct.sample_id || ', which was taken down') as detail
    from either
    join direct on direct.sample_id = either.other_id
    where direct.is_asked_for
    group by either.sample_id
)

select
    coalesce(direct.sample_id, copies.sample_id) as sample_id,
    coalesce(direct.detail, copies.detail) as detail
from direct
full join copies on copies.sample_id = direct.sample_id
