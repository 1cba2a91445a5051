-- Policy hash: a published clip that is still kept and now stands in another split: must be none.
{{ config(enabled = var('split_policy') == 'hash') }}
select sample_id, before.split as split_before, now.split as split_now
from {{ ref('stg_published_splits') }} as before
join {{ ref('splits') }} as now using (sample_id)
where before.split != now.split
