-- One row per clip: whether its open_clip features were computed, and by which checkpoint (the vectors stay in the lake).
{{ config(materialized = 'by_batch') }}
select
    {{ of_a_sample() }},
    cast(n_frames as bigint) as n_frames,
    model
from {{ stage_table('open_clip') }}
