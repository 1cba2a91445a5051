-- One row per clip: how near its sound is to the one that its picture lets expect, and so for its residual (the vectors stay in the lake).
{{ config(materialized = 'by_batch') }}
select {{ vector_scores() }}
from {{ stage_table('ridge') }}
