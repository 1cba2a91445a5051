-- One row per readable, screened candidate: its numbers that a rule may name before anything is fetched.
--
-- `keyword_<list>` is 1 where a keyword of that list stands in title or description (var keyword_lists names the lists).
{{ config(materialized = 'by_batch') }}
select
    ingest.batch,
    ingest.candidate_id,
    cast(list_contains({{ var('fetch_schemes') }}, screen.url_scheme) as integer)::double as scheme_is_supported,
    screen.declared_duration_s,
    cast(screen.declared_duration_s is not null as integer)::double as duration_is_known,
    screen.segment_s,
    cast(screen.title_chars as double) as title_chars,
    cast(screen.has_times as integer)::double as has_times,
    cast(list_contains({{ var('languages') }}, screen.language) as integer)::double as language_is_listed,
    screen.language_p,
    cast(coalesce(screen.category, '') = 'gaming' as integer)::double as is_gaming,
    {%- for name in var('keyword_lists') %}
    cast(coalesce(list_contains(screen.keyword_lists, '{{ name }}'), false) as integer)::double as keyword_{{ name }},
    {%- endfor %}
    cast(
        coalesce(screen.category = 'music' and list_contains(screen.keyword_lists, 'artist'), false) as integer
    )::double as is_music_of_artist
from {{ ref('stg_ingest') }} as ingest
join {{ ref('stg_screen') }} as screen using (batch, candidate_id)
where ingest.outcome = 'ok' and screen.outcome = 'ok'
