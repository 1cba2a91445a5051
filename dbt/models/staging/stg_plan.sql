-- One row per accepted candidate: the shard that holds it from here on.
{{ config(materialized = 'by_batch') }}
select
    lake_batch as batch,
    cast(left(lake_shard, 5) as integer) as shard_number,
    sample_id as candidate_id
from {{ stage_table('plan') }}
