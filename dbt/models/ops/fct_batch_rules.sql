-- One row per batch and rule that decided its rows, as the rule was when it did.
-- What a batch's own decisions were (fetch, separate) stands in the manifests of their tables; the release decides anew.
with recorded as (
    select
        batch,
        stage,
        unnest(
            from_json(
                params::json -> '$.rules',
                '[{"point":"VARCHAR","position":"BIGINT","rule":"VARCHAR","measure":"VARCHAR","op":"VARCHAR","value":"DOUBLE","unit":"VARCHAR"}]'
            ),
            recursive := true
        )
    from {{ ref('stg_manifests') }}
    where stage in ('decide', 'flag')
),

decided_at as (
    select 'decide' as stage, unnest({{ var('fetch_points') }}) as point
    union all
    select 'flag', 'separate'
),

-- Batches decided by a version that recorded no rules: whether those were today's is not known.
unrecorded as (
    select distinct batch, stage from {{ ref('stg_manifests') }} where stage in ('decide', 'flag')
    except
    select batch, stage from {{ ref('stg_manifests') }} where stage in ('decide', 'flag') and json_exists(params, '$.rules')
),

batches as (
    select distinct batch from {{ ref('stg_manifests') }} where stage = 'ingest'
)

select distinct
    recorded.batch,
    recorded.point,
    recorded.position,
    recorded.rule,
    recorded.measure,
    recorded.op,
    recorded.value,
    recorded.unit,
    (now.measure, now.op, now.value) is distinct from (recorded.measure, recorded.op, recorded.value) as is_older
from recorded
left join {{ ref('thresholds') }} as now on now.rule = recorded.rule and now.point = recorded.point

union all

select
    unrecorded.batch, now.point, now.position, now.rule, now.measure, now.op, now.value, now.unit, null as is_older
from unrecorded
join decided_at using (stage)
join {{ ref('thresholds') }} as now using (point)

union all

select batches.batch, now.point, now.position, now.rule, now.measure, now.op, now.value, now.unit, false as is_older
from batches
cross join {{ ref('thresholds') }} as now
where list_contains({{ var('release_points') }}, now.point)
