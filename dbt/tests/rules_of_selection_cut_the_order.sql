-- A rule of the selection that the mart acav_clips does not apply: it cuts the order at a share. Must be none.
select rule, measure, op
from {{ ref('thresholds') }}
where point = 'select' and (measure != 'order_share' or op != '>')
