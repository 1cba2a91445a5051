-- A rule of the release whose measure is no column that it could compare: it would never fire. Must be none.
select rule, measure
from {{ ref('thresholds') }}
where
    point in ('release', 'avset', 'picture')
    and measure not in ('joins_two_splits', 'duplicate_rank')
    and measure not in (
        select column_name from information_schema.columns where table_name = '{{ ref("int_clip_measures").identifier }}'
    )
