-- One row per clip and candidate that is not the first one of its seconds, or of its bytes.
--
-- Two candidates may lead to the same seconds of the same video, in one batch or in two: the first one, in the order in
-- which batches were admitted, is the clip (occurrence 1). Later batches never change that.
with clips as (
    select
        batch,
        candidate_id,
        sample_id,
        seq,
        media_sha256,
        row_number() over (partition by sample_id order by seq, batch, shard_number, candidate_id) as occurrence
    from {{ ref('int_clip_rows') }}
),

copies as (
    select
        sample_id,
        row_number() over (partition by media_sha256 order by seq, sample_id) as media_copy
    from clips
    where occurrence = 1 and media_sha256 is not null
)

select clips.batch, clips.candidate_id, clips.sample_id, clips.occurrence, copies.media_copy
from clips
left join copies using (sample_id)
where clips.occurrence > 1 or coalesce(copies.media_copy, 0) != 1
