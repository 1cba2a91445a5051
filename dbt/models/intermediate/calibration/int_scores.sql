-- One row per clip, scorer and sound (mixture: as recorded; residual: without the dialogue that was separated): the score.
with clips as (
    select batch, shard_number, sample_id, is_recycled
    from {{ ref('int_clips') }}
    where occurrence = 1
)

select clips.sample_id, scored.scorer, scored.sound, scored.score, scored.model
from clips
join {{ ref('int_scored') }} as scored using (batch, shard_number, sample_id)
where scored.sound = 'mixture' or clips.is_recycled
