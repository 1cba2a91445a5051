-- One row per clip: how near sound and picture are in a pretrained joint space, and so for its residual (the vectors stay in the lake).
{{ config(materialized = 'by_batch') }}
select {{ vector_scores() }}
from {{ stage_table('joint') }}
