-- One row per kept clip and pair of near-duplicates that ties it to another kept clip: both of a pair have its key.
with kept as (
    select clips.sample_id
    from {{ ref('int_clips') }} as clips
    anti join {{ ref('int_clip_failures') }} as failures using (batch, candidate_id, sample_id)
    left join {{ ref('int_near_duplicates') }} as copies using (sample_id)
    where coalesce(copies.duplicate_rank, 1) = 1
),

pairs as (
    select pairs.first_id, pairs.second_id, pairs.first_id || ' ' || pairs.second_id as tie_key
    from {{ ref('int_duplicate_pairs') }} as pairs
    where
        pairs.ties
        and pairs.first_id in (select sample_id from kept)
        and pairs.second_id in (select sample_id from kept)
)

select first_id as sample_id, tie_key from pairs
union all
select second_id, tie_key from pairs
