-- One row per sample of a shard and stage that failed on it: why.
{{ config(materialized = 'by_batch') }}
{%- for stage in failing_stages() %}
select batch, shard_number, sample_id, '{{ stage }}' as stage, reason
from {{ ref('stg_' ~ stage) }}
where outcome = 'failed'
{% if not loop.last %}union all{% endif %}
{%- endfor %}
