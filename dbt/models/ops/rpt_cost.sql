-- One row per stage and batch: seconds, bytes and rows, as the manifests tell.
select
    stage,
    batch,
    count(*) as shards,
    cast(sum(rows) as bigint) as rows,
    cast(sum(failed) as bigint) as failed,
    cast(sum(cast(seconds * 1000 as bigint)) as bigint) / 1000 as seconds,
    cast(sum(cast(cpu_seconds * 1000 as bigint)) as bigint) / 1000 as cpu_seconds,
    cast(sum(bytes + sidecar_bytes) as bigint) as bytes
from {{ ref('fct_shards') }}
group by stage, batch
