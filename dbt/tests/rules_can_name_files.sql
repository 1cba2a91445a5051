-- A rule whose name cannot be a file's: its ids could not be exported (exports/removed/<step>/<rule>.csv). Must be none.
select rule
from {{ ref('thresholds') }}
where not regexp_full_match(rule, '[A-Za-z0-9_.-]+')
