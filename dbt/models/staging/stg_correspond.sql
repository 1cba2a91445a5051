-- One row per clip: how well what is heard matches what is seen.
{{ config(materialized = 'by_batch') }}
select {{ builtin_scores() }}
from {{ stage_table('correspond') }}
