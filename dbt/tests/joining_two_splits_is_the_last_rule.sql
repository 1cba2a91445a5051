-- Splits are assigned over what the other rules keep, so this rule can only be the last. Must be none.
select rule
from {{ ref('thresholds') }}
where point = 'release' and position > (select position from {{ ref('thresholds') }} where rule = 'joins_two_splits')
