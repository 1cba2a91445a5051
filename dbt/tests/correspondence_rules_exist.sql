-- A rule of var correspondence_rules that thresholds.csv has not: non_corresponding_clips would lack its clips. Must be none.
select rule
from (select unnest(['{{ var('correspondence_rules') | join("', '") }}']) as rule)
where rule not in (select rule from {{ ref('thresholds') }})
