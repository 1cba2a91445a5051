-- One row per clip, scorer and sound (mixture: as recorded; residual: without the dialogue that was separated): the score.
--
-- The two parts of the built-in scorer know nothing of each other: they are two scorers, and `builtin` is both.
with clips as (
    select batch, shard_number, sample_id, is_recycled
    from {{ ref('int_clips') }}
    where occurrence = 1
),

scored as (
{%- for stage, sound in [('correspond', 'mixture'), ('rescore', 'residual')] %}
    {%- for scorer, score in [('builtin', 'score'), ('semantic', 'semantic'), ('sync', 'sync')] %}
    select batch, shard_number, sample_id, '{{ scorer }}' as scorer, '{{ sound }}' as sound, {{ score }} as score, model
    from {{ ref('stg_' ~ stage) }}
    where outcome = 'ok' and {{ score }} is not null
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
    union all
{%- endfor %}
{%- for scorer in vector_scorers() %}
    {%- for sound, score in [('mixture', 'score'), ('residual', 'residual_score')] %}
    select batch, shard_number, sample_id, '{{ scorer }}' as scorer, '{{ sound }}' as sound, {{ score }} as score, model
    from {{ ref('stg_' ~ scorer) }}
    where outcome = 'ok' and {{ score }} is not null
    {% if not loop.last %}union all{% endif %}
    {%- endfor %}
    {% if not loop.last %}union all{% endif %}
{%- endfor %}
)

select clips.sample_id, scored.scorer, scored.sound, scored.score, scored.model
from clips
join scored using (batch, shard_number, sample_id)
where scored.sound = 'mixture' or clips.is_recycled
