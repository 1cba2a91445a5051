-- One row per readable, screened candidate: its numbers that a rule may name before anything is fetched.
select
    ingest.batch,
    ingest.candidate_id,
    cast(list_contains({{ var('fetch_schemes') }}, screen.url_scheme) as integer)::double as scheme_is_supported,
    screen.declared_duration_s,
    screen.segment_s,
    cast(screen.title_chars as double) as title_chars,
    cast(screen.has_times as integer)::double as has_times
from {{ ref('stg_ingest') }} as ingest
join {{ ref('stg_screen') }} as screen using (batch, candidate_id)
where ingest.outcome = 'ok' and screen.outcome = 'ok'
