-- One row per clip: whether its vggish features by second were computed, and by which checkpoint (the vectors stay in the lake).
{{ config(materialized = 'by_batch') }}
select
    {{ of_a_sample() }},
    cast(seconds as bigint) as seconds,
    cast(positions as bigint) as positions,
    cast(n_seconds as bigint) as n_seconds,
    model
from {{ stage_table('vggish') }}
