-- One row per row of a list, as it may be published: of one that was taken down its ids, how far it came, and why.
{{ config(materialized = 'view') }}
{%- set hidden = [
    'list_path', 'list_row', 'source_id', 'url', 'start_s', 'end_s', 'title', 'description', 'uploader', 'license', 'labels',
    'declared_duration_s', 'extra', 'content_sha256', 'source_sha256', 'fetched_title', 'fetched_uploader',
    'fetched_duration_s', 'caption', 'uploader_key',
] %}
select
    candidates.* replace (
        {%- for name in hidden %}
        if(taken.candidate_id is not null, null, candidates.{{ name }}) as {{ name }},
        {%- endfor %}
        coalesce(taken.detail, candidates.detail) as detail
    ),
    taken.candidate_id is not null as is_taken
from {{ ref('int_candidates') }} as candidates
left join {{ ref('int_taken_candidates') }} as taken using (batch, candidate_id)
