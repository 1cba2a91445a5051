-- One row per candidate that could not be fetched: why, and when it was last tried.
select
    candidates.batch,
    candidates.candidate_id,
    candidates.source_id,
    candidates.url,
    candidates.reason,
    candidates.detail,
    shards.committed_at as tried_at
from {{ ref('int_shown_candidates') }} as candidates
join {{ ref('stg_fetch') }} as tried using (batch, candidate_id)
left join {{ ref('fct_shards') }} as shards
    on shards.stage = 'fetch' and shards.batch = tried.batch and shards.shard = tried.shard
where candidates.step = 'fetch' and candidates.status = 'failed'
