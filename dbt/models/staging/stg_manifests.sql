-- One row per committed shard: what it cost and where it was made. Of a compact table, as its list of shards says; of a
-- batch that was admitted before there were any, as the manifest beside each shard does.
{%- set compact = shard_files() %}
with manifests as (
    select *
    from read_json(
        {{ manifest_files() }},
        format = 'unstructured', filename = 'manifest_path',
        columns = {
            stage: 'varchar', v: 'varchar', batch: 'varchar', shard: 'varchar', file: 'varchar', sha256: 'varchar',
            bytes: 'bigint', rows: 'bigint', rows_in: 'bigint', ok: 'bigint', failed: 'bigint', code: 'varchar',
            params: 'json', model: 'varchar', sidecar: 'varchar', sidecar_bytes: 'bigint', retry_of: 'varchar',
            "at": 'varchar', seconds: 'double', cpu_seconds: 'double', device: 'varchar', host: 'varchar'
        }
    )
    {%- if compact | trim != '[]' %}
    union all by name
    select * replace (json(params) as params)
    from read_parquet({{ compact }}, hive_partitioning = false)
    {%- endif %}
)

select
    stage,
    batch,
    shard,
    v,
    stage || '/v=' || v || '/batch=' || batch || '/' || file as path,
    sha256,
    bytes,
    rows,
    rows_in,
    ok,
    failed,
    code,
    cast(params as varchar) as params,
    model,
    sidecar,
    sidecar_bytes,
    retry_of,
    try_cast("at" as timestamptz) as committed_at,
    seconds,
    cpu_seconds,
    device,
    host
from manifests
where stage is not null
