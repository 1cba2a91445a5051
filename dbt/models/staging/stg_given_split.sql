-- One row per sample and published list that gives its split.
select distinct
    family,
    key,
    split,
    source
from {{ stage_table('given_split') }}
