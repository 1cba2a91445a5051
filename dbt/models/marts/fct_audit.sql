-- One row per audit and drawn clip: what its reviewers say, and how the clip stands now.
--
-- More than half of the reviewers must say the same; else, and where they say so, it is unsure. Who said what stays in the
-- lake (corpus table `verdict`).
with counted as (
    select
        audit,
        sample_id,
        count(*) as reviewers,
        count(*) filter (where verdict = 'corresponds') as corresponds,
        count(*) filter (where verdict = 'does_not') as does_not,
        count(*) filter (where verdict = 'unsure') as unsure
    from {{ ref('int_audit_answers') }}
    group by audit, sample_id
)

select
    samples.audit,
    samples.release,
    samples.sample_id,
    samples.stratum,
    samples.status,
    samples.rule,
    samples.position,
    samples.population,
    samples.drawn,
    coalesce(counted.reviewers, 0) as reviewers,
    coalesce(counted.corresponds, 0) as corresponds,
    coalesce(counted.does_not, 0) as does_not,
    coalesce(counted.unsure, 0) as unsure,
    case
        when counted.reviewers is null then null
        when 2 * counted.corresponds > counted.reviewers then 'corresponds'
        when 2 * counted.does_not > counted.reviewers then 'does_not'
        else 'unsure'
    end as verdict,
    coalesce(counted.corresponds > 0 and counted.does_not > 0, false) as is_disputed,
    coalesce(clips.status, 'absent') as status_now,
    clips.first_failed_rule as rule_now
from {{ ref('stg_audit_sample') }} as samples
left join counted using (audit, sample_id)
left join {{ ref('fct_clips') }} as clips using (sample_id)
