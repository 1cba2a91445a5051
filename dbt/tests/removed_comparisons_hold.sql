-- A row of the ledger whose own comparison does not hold: must be none. (Before fetch three decimals were noted.)
select batch, candidate_id, sample_id, reason, measured, op, threshold
from {{ ref('fct_removed') }}
where
    kind = 'rule'
    and step in ('release', 'separate')
    and not coalesce(
        case op
            when '<' then measured < threshold
            when '<=' then measured <= threshold
            when '>' then measured > threshold
            when '>=' then measured >= threshold
            when '=' then measured = threshold
            when '!=' then measured != threshold
        end,
        false
    )
