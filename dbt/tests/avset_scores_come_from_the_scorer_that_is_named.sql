-- A release whose kept clips all lack the score that var avset_scorer names: a scorer that never ran, or a misspelt name.
select '{{ var("avset_scorer") }}' as avset_scorer, count(*) as clips
from {{ ref('avset_clips') }}
having count(*) > 0 and count(avc) = 0
