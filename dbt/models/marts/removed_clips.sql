-- One row per clip that was dropped: fct_clips without what is kept and without what waits, column for column.
{{ config(contract = {'enforced': false}, materialized = 'view') }}
select * from {{ ref('fct_clips') }} where status = 'dropped'
