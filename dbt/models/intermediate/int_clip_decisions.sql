-- One row per clip and candidate: kept, dropped by its first failed rule, undecided, or pending; and its split when it is
-- kept.
--
-- Undecided is what no rule before it drops and whose scorer decides nothing (rule scorer_near_chance).
-- A clip has as many rows of splits as pairs of near-duplicates tie it: it joins two splits when one of them does.
with placed as (
    select
        clips.batch,
        clips.candidate_id,
        clips.sample_id,
        bool_or(splits.joins_two_splits) as joins_two_splits,
        min(splits.group_id) as group_id,
        min(splits.split) as split
    from {{ ref('int_clips') }} as clips
    left join {{ ref('int_duplicate_ties') }} as ties using (sample_id)
    join {{ ref('int_splits') }} as splits
        on splits.seq = clips.seq
        and splits.video_id = clips.video_id
        and splits.uploader_key is not distinct from clips.uploader_key
        and splits.source_sha256 is not distinct from clips.source_sha256
        and splits.label = clips.label
        and splits.tie_key is not distinct from ties.tie_key
    group by clips.batch, clips.candidate_id, clips.sample_id
),

either as (
    select first_id as sample_id, second_id as other_id, kind, share from {{ ref('int_duplicate_pairs') }}
    union all
    select second_id, first_id, kind, share from {{ ref('int_duplicate_pairs') }}
),

copies as (
    select
        copies.sample_id,
        copies.duplicate_rank,
        'a copy of ' || copies.duplicate_of || ' (' || either.kind || ', share ' || round(either.share, 3) || ')' as detail
    from {{ ref('int_near_duplicates') }} as copies
    join either on either.sample_id = copies.sample_id and either.other_id = copies.duplicate_of
    where copies.duplicate_rank > 1
),

ruled as (
    select
        clips.batch,
        clips.candidate_id,
        clips.sample_id,
        clips.is_pending,
        clips.failed_stage,
        case
            when failures.rule = 'taken_down' then takedowns.detail
            when failures.rule = 'quarantined' then quarantined.rules
            when failures.rule = 'scorer_near_chance' then scorers.near_chance || ' of scorer ' || scorers.model
            when failures.rule is null then copies.detail
            else failures.detail
        end as detail,
        case
            when failures.rule is not null then failures.rule
            when copies.duplicate_rank > 1 then 'near_duplicate'
            when placed.joins_two_splits then 'joins_two_splits'
        end as rule,
        placed.group_id,
        placed.split
    from {{ ref('int_clips') }} as clips
    left join {{ ref('int_clip_failures') }} as failures using (batch, candidate_id, sample_id)
    left join {{ ref('stg_quarantined') }} as quarantined using (batch, sample_id)
    left join {{ ref('int_takedowns') }} as takedowns using (sample_id)
    left join {{ ref('int_scorers') }} as scorers
        on scorers.model = if(clips.is_recycled, clips.residual_model, clips.model)
    left join copies using (sample_id)
    left join placed using (batch, candidate_id, sample_id)
)

select
    batch,
    candidate_id,
    sample_id,
    case
        when rule is null then 'kept'
        when rule = 'unmeasured' and is_pending then 'pending'
        when rule = 'scorer_near_chance' then 'undecided'
        else 'dropped'
    end as status,
    if(rule = 'unmeasured' and is_pending, null, rule) as first_failed_rule,
    if(rule = 'unmeasured', coalesce(failed_stage, if(is_pending, 'not_measured', 'no_value')), detail) as detail,
    if(rule is null, group_id, null) as group_id,
    if(rule is null, split, null) as split
from ruled
