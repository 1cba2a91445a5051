-- One row per clip, scorer and picture that it looked at: when the picture is shown, and its own cosine with the sound.
--
-- A clip's score is the mean of these (fct_scores), so that an event of one second shows here and is lost there. The sound is
-- the mixture. The built-in scorer looks at no single picture: it has no row, and two_tower, whose layers describe the whole
-- clip, has one, at the clip's middle.
with clips as (
    select batch, shard_number, sample_id
    from {{ ref('int_clips') }}
    where occurrence = 1
),

pictures as (
{%- for scorer in vector_scorers() %}
    select
        batch,
        shard_number,
        sample_id,
        '{{ scorer }}' as scorer,
        unnest(range(1, len(frame_scores) + 1)) as picture,
        unnest(frame_times) as time_s,
        unnest(frame_scores) as frame_score
    from {{ ref('stg_' ~ scorer) }}
    where outcome = 'ok'
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
)

-- The stage writes float32: rounded, they are the numbers that it meant.
select
    clips.sample_id,
    pictures.scorer,
    pictures.picture,
    round(pictures.time_s, 3) as time_s,
    round(pictures.frame_score, 6) as score
from clips
join pictures using (batch, shard_number, sample_id)
