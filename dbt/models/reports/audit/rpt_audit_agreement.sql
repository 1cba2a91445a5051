-- One row per audit and pair of its reviewers, and one for all of them: how far they agree where both are sure.
select
    audit,
    reviewers,
    clips,
    clips_compared,
    clips_unanimous,
    statistic,
    agreement
from {{ ref('int_audit_agreement') }}
