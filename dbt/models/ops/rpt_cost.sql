-- One row per stage and batch: what it cost, as the manifests tell, in all and for each hour of clips that is kept.
with spent as (
    select
        stage,
        batch,
        count(*) as shards,
        cast(sum(rows) as bigint) as rows,
        cast(sum(failed) as bigint) as failed,
        cast(sum(cast(seconds * 1000 as bigint)) as bigint) / 1000 as seconds,
        cast(sum(cast(cpu_seconds * 1000 as bigint)) as bigint) / 1000 as cpu_seconds,
        cast(sum(if(coalesce(device, 'cpu') = 'cpu', 0, cast(seconds * 1000 as bigint))) as bigint) / 1000 as gpu_seconds,
        cast(sum(bytes + sidecar_bytes) as bigint) as bytes
    from {{ ref('fct_shards') }}
    group by stage, batch
),

-- Rows of one video share its download; a link that failed was asked for once at least.
downloads as (
    select batch, video_id, max(1 + coalesce(redirects, 0)) as requests, max(coalesce(media_bytes, 0)) as media_bytes
    from {{ ref('stg_fetch') }}
    where url not like 'inbox:%'
    group by batch, video_id
),

fetched as (
    select
        batch, 'fetch' as stage, cast(sum(requests) as bigint) as requests, cast(sum(media_bytes) as bigint) as media_bytes
    from downloads
    group by batch
),

kept as (
    select batch, cast(sum(end_ms - start_ms) as bigint) / 3600000 as accepted_hours
    from {{ ref('fct_clips') }}
    where status = 'kept'
    group by batch
)

select
    spent.stage,
    spent.batch,
    spent.shards,
    spent.rows,
    spent.failed,
    spent.seconds,
    spent.cpu_seconds,
    spent.gpu_seconds,
    spent.bytes + coalesce(fetched.media_bytes, 0) as bytes,
    coalesce(fetched.requests, 0) as requests,
    coalesce(kept.accepted_hours, 0) as accepted_hours,
    spent.cpu_seconds / nullif(kept.accepted_hours, 0) as cpu_seconds_per_hour,
    spent.gpu_seconds / nullif(kept.accepted_hours, 0) as gpu_seconds_per_hour,
    (spent.bytes + coalesce(fetched.media_bytes, 0)) / nullif(kept.accepted_hours, 0) as bytes_per_hour,
    coalesce(fetched.requests, 0) / nullif(kept.accepted_hours, 0) as requests_per_hour
from spent
left join fetched using (stage, batch)
left join kept using (batch)
