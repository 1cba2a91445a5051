-- One row per clip: how near sound and picture are in the space that was fitted on the corpus, and so for its residual (the vectors stay in the lake).
{{ config(materialized = 'by_batch') }}
select {{ vector_scores() }}
from {{ stage_table('two_tower') }}
