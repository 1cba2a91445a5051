-- One row per verified pair of clips that have a stretch of picture or sound in common, the earlier admitted clip first.
select
    first_id,
    second_id,
    kind,
    {{ finite('first_s') }} as first_s,
    {{ finite('second_s') }} as second_s,
    {{ finite('length_s') }} as length_s,
    {{ finite('share') }} as share,
    {{ finite('speed') }} as speed,
    mirrored,
    {{ finite('picture_score') }} as picture_score,
    {{ finite('sound_score') }} as sound_score,
    version
from {{ stage_table('duplicate_pair') }}
