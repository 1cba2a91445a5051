-- One row per sample of a shard, scorer and sound (mixture: as recorded; residual: without the dialogue that was separated):
-- the score.
--
-- The two parts of the built-in scorer know nothing of each other: they are two scorers, and `builtin` is both.
{{ config(materialized = 'by_batch') }}
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
