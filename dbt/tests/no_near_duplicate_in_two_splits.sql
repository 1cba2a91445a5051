-- Two kept clips that share a stretch of picture or sound and stand in two splits: must be none.
select pairs.first_id, pairs.second_id, pairs.kind, first_clip.split as first_split, second_clip.split as second_split
from {{ ref('fct_duplicates') }} as pairs
join {{ ref('splits') }} as first_clip on first_clip.sample_id = pairs.first_id
join {{ ref('splits') }} as second_clip on second_clip.sample_id = pairs.second_id
where pairs.ties and first_clip.split != second_clip.split
