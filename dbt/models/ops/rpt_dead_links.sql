-- One row per list format, host and day of trying: how many links were tried, and how many were dead.
with links as (
    select
        coalesce(listed.source, 'unknown') as source,
        coalesce(nullif(regexp_extract(tried.url, '^[a-z]+://([^/?#]+)', 1), ''), 'inbox') as host,
        cast(timezone('UTC', shards.committed_at) as date) as tried_on,
        tried.video_id,
        bool_or(tried.outcome = 'failed') as is_failed,
        bool_or(tried.reason in ('gone', 'forbidden')) as is_dead
    from {{ ref('stg_fetch') }} as tried
    join {{ ref('int_candidates') }} as listed using (batch, candidate_id)
    join {{ ref('fct_shards') }} as shards
        on shards.stage = 'fetch' and shards.batch = tried.batch and shards.shard = tried.shard
    group by all
)

select
    source,
    host,
    tried_on,
    count(*) as links,
    count(*) filter (is_failed) as failed,
    count(*) filter (is_dead) as dead,
    count(*) filter (is_dead) / count(*) as dead_share
from links
where tried_on is not null
group by source, host, tried_on
