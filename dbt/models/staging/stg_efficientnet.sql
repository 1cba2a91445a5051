-- One row per clip: the classes that EfficientNet-Lite0 takes its pictures for (the vectors stay in the lake).
{{ config(materialized = 'by_batch') }}
select
    {{ of_a_sample() }},
    cast(n_frames as bigint) as n_frames,
    cast(tag_names as varchar[]) as tag_names,
    cast(tag_scores as double[]) as tag_scores,
    model
from {{ stage_table('efficientnet') }}
