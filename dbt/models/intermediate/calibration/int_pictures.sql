-- One row per sample of a shard, scorer, sound and picture that it looked at: when the picture is shown, and its own cosine
-- with the sound.
{{ config(materialized = 'by_batch') }}
{%- for scorer in vector_scorers() %}
{%- for sound, scores in [('mixture', 'frame_scores'), ('residual', 'residual_frame_scores')] %}
select
    batch,
    shard_number,
    sample_id,
    '{{ scorer }}' as scorer,
    '{{ sound }}' as sound,
    unnest(range(1, len({{ scores }}) + 1)) as picture,
    unnest(frame_times) as time_s,
    unnest({{ scores }}) as frame_score
from {{ ref('stg_' ~ scorer) }}
where outcome = 'ok' and {{ scores }} is not null
{% if not loop.last %}union all{% endif %}
{%- endfor %}
{% if not loop.last %}union all{% endif %}
{%- endfor %}
