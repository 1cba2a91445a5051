-- A category of which the half set does not hold half, rounded up: must be none.
select family, category
from {{ ref('avel_samples') }}
where split is not null
group by family, category
having count(*) filter (where in_half) != (count(*) + 1) // 2
