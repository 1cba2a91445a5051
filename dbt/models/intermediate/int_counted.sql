-- One row per batch and step before release: how many came in.
{{ config(materialized = 'by_batch') }}
select batch, 'ingest' as step, count(*) as items from {{ ref('stg_ingest') }} group by batch
union all
select batch, 'screen', count(*) from {{ ref('stg_ingest') }} where outcome = 'ok' group by batch
union all
select batch, 'decide', count(*) from {{ ref('stg_screen') }} where outcome = 'ok' group by batch
union all
select batch, 'fetch', count(*) from {{ ref('stg_decide') }} where outcome = 'ok' group by batch
union all
select batch, 'clip', count(*) from {{ ref('stg_fetch') }} where outcome = 'ok' group by batch
union all
select batch, 'clipped', count(distinct candidate_id) from {{ ref('stg_clip') }} where outcome = 'ok' group by batch
union all
select batch, 'release', count(*) from {{ ref('stg_clip') }} where outcome = 'ok' group by batch
