-- One row per audit, scope and part of its sample: how many of the judged clips correspond, and what that says of the release.
--
-- Shares and intervals come from winnow/estimates/precision.py: of a stratum its own, of a rule or a status the strata's, weighted by
-- how many clips of the release each stands for.
select
    audit,
    release,
    scope,
    part,
    status,
    strata,
    strata_judged,
    population,
    drawn,
    reviewed,
    corresponds,
    does_not,
    unsure,
    disputed,
    moved,
    share,
    share_low,
    share_high,
    share_if_unsure_fails,
    covered_share
from {{ ref('int_audit') }}
