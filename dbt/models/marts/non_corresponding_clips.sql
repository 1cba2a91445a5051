-- One row per clip that was dropped because its sound is not its picture's: measured, sounding, moving, and not matching.
--
-- Rules of correspondence come after those on sound, picture and measurement, so none of these fires for such a clip.
{{ config(contract = {'enforced': false}, materialized = 'view') }}
select *
from {{ ref('removed_clips') }}
where first_failed_rule in ('{{ var('correspondence_rules') | join("', '") }}')
