-- One row per screened candidate: the decision that was taken before fetch (`failed` is rejected, by the rule in `reason`).
{{ config(materialized = 'by_batch') }}
select
    lake_batch as batch,
    sample_id as candidate_id,
    outcome,
    reason as rule,
    detail
from {{ stage_table('decide') }}
