-- One row per clip: whether its picture and its sound have a fingerprint, and why not (the sketches stay in the lake).
{{ config(materialized = 'by_batch') }}
select
    {{ of_a_sample() }},
    version,
    picture_void,
    cast(picture_moments as bigint) as picture_moments,
    sound_void,
    cast(sound_moments as bigint) as sound_moments
from {{ stage_table('fingerprint') }}
