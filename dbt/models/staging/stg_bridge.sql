-- One row per clip: how near its PANNs tags, as text, are to its pictures, and so for its residual (the vectors stay in the lake).
{{ config(materialized = 'by_batch') }}
select {{ vector_scores() }}
from {{ stage_table('bridge') }}
