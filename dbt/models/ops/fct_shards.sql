-- One row per committed shard: what made it, what it cost, where it lies in the lake.
select
    stage,
    batch,
    shard,
    v,
    path,
    sha256,
    rows,
    rows_in,
    ok,
    failed,
    bytes,
    coalesce(sidecar_bytes, 0) as sidecar_bytes,
    code,
    params,
    model,
    retry_of,
    committed_at,
    seconds,
    cpu_seconds,
    device,
    host
from {{ ref('stg_manifests') }}
