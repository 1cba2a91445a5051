-- The same for the decision before fetch.
{{ config(tags = ['decide_fetch']) }}
select rule, measure
from {{ ref('thresholds') }}
where
    point in ('fetch', 'acav')
    and measure not in (
        select column_name from information_schema.columns where table_name = '{{ ref("int_fetch_measures").identifier }}'
    )
