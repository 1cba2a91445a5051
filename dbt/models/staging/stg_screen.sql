-- One row per readable candidate: what its metadata alone says.
{{ config(materialized = 'by_batch') }}
select
    lake_batch as batch,
    sample_id as candidate_id,
    outcome,
    reason,
    detail,
    url_scheme,
    url_host,
    {{ finite('declared_duration_s') }} as declared_duration_s,
    {{ finite('segment_s') }} as segment_s,
    cast(title_chars as bigint) as title_chars,
    cast(has_times as boolean) as has_times,
    language,
    {{ finite('language_p') }} as language_p,
    category,
    cast(keyword_lists as varchar[]) as keyword_lists,
    cast(keyword_matches as varchar[]) as keyword_matches
from {{ stage_table('screen') }}
