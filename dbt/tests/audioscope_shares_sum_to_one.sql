-- Shares of AudioScope's splits that do not sum to 1: must be none.
select sum(share) as total
from {{ ref('audioscope_splits') }}
having sum(share) != 1
