-- One row per id, uploader, address or file that was taken down: why, and when first.
select
    kind,
    value,
    min(created_at) as created_at,
    min(why) as why
from {{ stage_table('takedown') }}
group by kind, value
