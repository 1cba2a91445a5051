-- One row per clip, scorer, sound and picture that it looked at: when the picture is shown, and its own cosine with the sound.
--
-- A clip's score is the mean of these (fct_scores), so that an event of one second shows here and is lost there. Sounds are
-- those of fct_scores: the mixture, and of a recycled clip also the residual. The built-in scorer looks at no single picture: it has no row, and two_tower, whose layers describe the whole
-- clip, has one, at the clip's middle.
with clips as (
    select batch, shard_number, sample_id, is_recycled
    from {{ ref('int_clips') }}
    anti join {{ ref('int_takedowns') }} using (sample_id)
    where occurrence = 1
)

-- The stage writes float32: rounded, they are the numbers that it meant.
select
    clips.sample_id,
    pictures.scorer,
    pictures.sound,
    pictures.picture,
    round(pictures.time_s, 3) as time_s,
    round(pictures.frame_score, 6) as score
from clips
join {{ ref('int_pictures') }} as pictures using (batch, shard_number, sample_id)
where pictures.sound = 'mixture' or clips.is_recycled
