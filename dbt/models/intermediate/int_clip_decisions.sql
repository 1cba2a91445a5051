-- One row per clip and candidate: kept, dropped by its first failed rule, or pending; and its split when it is kept.
with ruled as (
    select
        clips.batch,
        clips.candidate_id,
        clips.sample_id,
        clips.is_pending,
        clips.failed_stage,
        if(failures.rule = 'quarantined', quarantined.rules, failures.detail) as detail,
        case
            when failures.rule is not null then failures.rule
            when splits.joins_two_splits then 'joins_two_splits'
        end as rule,
        splits.group_id,
        splits.split
    from {{ ref('int_clips') }} as clips
    left join {{ ref('int_clip_failures') }} as failures using (batch, candidate_id, sample_id)
    left join {{ ref('stg_quarantined') }} as quarantined using (batch, sample_id)
    left join {{ ref('int_splits') }} as splits
        on failures.rule is null
        and splits.seq = clips.seq
        and splits.video_id = clips.video_id
        and splits.uploader_key is not distinct from clips.uploader_key
        and splits.source_sha256 is not distinct from clips.source_sha256
        and splits.label = clips.label
)

select
    batch,
    candidate_id,
    sample_id,
    case
        when rule is null then 'kept'
        when rule = 'unmeasured' and is_pending then 'pending'
        else 'dropped'
    end as status,
    if(rule = 'unmeasured' and is_pending, null, rule) as first_failed_rule,
    if(rule = 'unmeasured', coalesce(failed_stage, if(is_pending, 'not_measured', 'no_value')), detail) as detail,
    if(rule is null, group_id, null) as group_id,
    if(rule is null, split, null) as split
from ruled
