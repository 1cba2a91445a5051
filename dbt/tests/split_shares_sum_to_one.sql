-- Shares that do not sum to 1: must be none.
select sum(cast(share as decimal(9, 6))) as total
from {{ ref('split_shares') }}
having sum(cast(share as decimal(9, 6))) != 1
