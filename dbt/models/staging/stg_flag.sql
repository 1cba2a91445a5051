-- One row per clip that was flagged for separation inside its batch's flow, and why it was then.
{{ config(materialized = 'by_batch') }}
select
    lake_batch as batch,
    cast(left(lake_shard, 5) as integer) as shard_number,
    sample_id,
    why
from {{ stage_table('flag') }}
