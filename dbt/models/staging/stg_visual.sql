-- One row per clip: whether its visual features were measured (the vectors stay in the lake).
{{ config(materialized = 'by_batch') }}
select
    {{ of_a_sample() }},
    {{ finite('grid_hz') }} as grid_hz,
    cast(n_frames as bigint) as n_frames
from {{ stage_table('visual') }}
