-- One row per clip that no measured rule drops and that is in a pair of near-duplicates: what makes one copy better.
select distinct
    clips.sample_id,
    published.sample_id is not null as is_published,
    cast(clips.width * clips.height as bigint) as pixels,
    cast(clips.seq as bigint) as seq
from {{ ref('int_clips') }} as clips
semi join (
    select first_id as sample_id from {{ ref('int_duplicate_pairs') }}
    union all
    select second_id from {{ ref('int_duplicate_pairs') }}
) as paired using (sample_id)
anti join {{ ref('int_clip_failures') }} as failures using (batch, candidate_id, sample_id)
left join {{ ref('stg_published_splits') }} as published using (sample_id)
