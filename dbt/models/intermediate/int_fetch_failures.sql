-- One row per candidate for which a rule fires before fetch: the first rule.
{{ config(materialized = 'by_batch') }}
{{ first_failed(ref('int_fetch_measures'), ['batch', 'candidate_id'], var('fetch_points')) }}
