-- One row per rule before fetch: how many candidates pass it alone, and how many pass it and all rules before it.
--
-- Rules of a point that does not decide (var fetch_points) are counted too: what they would do is known without a
-- download. ACAV100M's `--test-each` mode gives the first of the two figures.
with fired as (
    {{ fired(ref('int_fetch_measures'), 'batch, candidate_id', ['fetch', 'acav']) }}
),

{{ alone_and_in_order(ref('int_fetch_measures'), 'candidates', 'batch, candidate_id', ['fetch', 'acav'], var('fetch_points')) }}
