-- One row per clip: whether its audio features were measured (the vectors stay in the lake).
{{ config(materialized = 'by_batch') }}
select
    {{ of_a_sample() }},
    {{ finite('grid_hz') }} as grid_hz,
    cast(n_samples as bigint) as n_samples
from {{ stage_table('audio') }}
