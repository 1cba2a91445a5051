-- One row per id that was removed, and rule that fires for it or stage that failed on it: what was measured, and against what.
--
-- fct_outcomes names one reason an id, the first; here stand all of them. What a rule compares is taken from the measures
-- and thresholds.csv, not from fct_outcomes, and tests hold the two and the funnel against each other. A candidate that
-- was dropped before fetch keeps the comparison that dropped it then; other rules before fetch are as they stand now.
-- Of what was taken down nothing stands here but that, its ids, the day and why.
-- `covered` is not decided by correspondence: its row has the tag, and each rule of point `separate` that fires is a row too.
with dropped as (
    select
        decisions.batch,
        decisions.candidate_id,
        decisions.sample_id,
        decisions.first_failed_rule,
        decisions.detail,
        clips.shard_number,
        clips.video_id,
        clips.start_s,
        clips.end_s,
        clips.flag = 1 and not clips.is_recycled as is_covered,
        clips.flag_why,
        if(clips.is_recycled, 'residual', 'mixture') as sound
    from {{ ref('int_clip_decisions') }} as decisions
    join {{ ref('int_clips') }} as clips using (batch, candidate_id, sample_id)
    where decisions.status = 'dropped'
),

clip_rules as (
    {{ fired(ref('int_clip_measures'), 'batch, candidate_id, sample_id', var('release_points')) }}
),

-- What the tagger that decides hears in covered clips. Sound outside speech counts only where it knows no other class.
heard as (
    select
        dropped.batch, dropped.candidate_id, dropped.sample_id,
        tags.speech, tags.music, tags.other, if(tags.tagged_by = 'tags', tags.outside_dbfs, null) as outside_dbfs,
        tags.tagged_by, tags.tagger
    from dropped
    join {{ ref('int_tags') }} as tags using (batch, shard_number, sample_id)
    where dropped.is_covered
),

heard_numbers as (select * exclude (tagged_by, tagger) from heard),

tag_rules as (
    {{ fired('heard_numbers', 'batch, candidate_id, sample_id', ['separate']) }}
),

fetch_rules as (
    {{ fired(ref('int_fetch_measures'), 'batch, candidate_id', var('fetch_points')) }}
),

stopped as (select * from {{ ref('int_shown_candidates') }} where status in ('dropped', 'failed')),

-- `declared_duration_s 9000.0 > 7200.0 s`, as `first_failed` writes it.
stopped_by_rule as (
    select
        *,
        regexp_extract(
            detail, '^(\w+) (\S+) (<=|>=|!=|<|>|=) (\S+) ?(.*)$', ['measure', 'measured', 'op', 'value', 'unit']
        ) as said
    from stopped
    where status = 'dropped'
),

removed as (
    select
        fired.batch, fired.candidate_id, fired.sample_id, dropped.video_id, dropped.start_s, dropped.end_s,
        'release' as step, 'rule' as kind, fired.rule as reason, fired.position,
        fired.position = min(fired.position) over (
            partition by fired.batch, fired.candidate_id, fired.sample_id
        ) as is_first,
        fired.measure, fired.measured, fired.op, fired.value as threshold, fired.unit,
        case
            when fired.measure = 'is_covered' then dropped.flag_why
            when fired.rule = dropped.first_failed_rule then dropped.detail
        end as detail,
        dropped.sound
    from clip_rules as fired
    join dropped using (batch, candidate_id, sample_id)

    union all

    select
        dropped.batch, dropped.candidate_id, dropped.sample_id, dropped.video_id, dropped.start_s, dropped.end_s,
        'release', 'rule', rules.rule, rules.position, true,
        rules.measure, 1, rules.op, rules.value, rules.unit, dropped.detail, dropped.sound
    from dropped
    join {{ ref('thresholds') }} as rules on rules.rule = dropped.first_failed_rule
    where rules.point = 'release' and rules.measure = 'joins_two_splits'

    union all

    select
        dropped.batch, dropped.candidate_id, dropped.sample_id, dropped.video_id, dropped.start_s, dropped.end_s,
        'release', 'rule', rules.rule, rules.position, true,
        rules.measure, copies.duplicate_rank, rules.op, rules.value, rules.unit, dropped.detail, dropped.sound
    from dropped
    join {{ ref('thresholds') }} as rules on rules.rule = dropped.first_failed_rule
    join {{ ref('int_near_duplicates') }} as copies using (sample_id)
    where rules.point = 'release' and rules.measure = 'duplicate_rank'

    union all

    select
        dropped.batch, dropped.candidate_id, dropped.sample_id, dropped.video_id, dropped.start_s, dropped.end_s,
        'separate', 'rule', fired.rule, fired.position, false,
        fired.measure, fired.measured, fired.op, fired.value, fired.unit, null, 'mixture'
    from tag_rules as fired
    join dropped using (batch, candidate_id, sample_id)

    union all

    select
        dropped.batch, dropped.candidate_id, dropped.sample_id, dropped.video_id, dropped.start_s, dropped.end_s,
        failed.stage, 'failure', failed.reason, null, false, null, null, null, null, null, null, dropped.sound
    from dropped
    join {{ ref('int_failed_samples') }} as failed using (batch, shard_number, sample_id)

    union all

    select
        stopped.batch, stopped.candidate_id, '', stopped.video_id, stopped.start_s, stopped.end_s,
        stopped.step, 'rule', stopped.reason, rules.position, true,
        nullif(said.measure, ''), try_cast(said.measured as double), nullif(said.op, ''),
        try_cast(said.value as double), nullif(said.unit, ''), stopped.detail, null
    from stopped_by_rule as stopped
    left join {{ ref('thresholds') }} as rules on rules.rule = stopped.reason

    union all

    select
        stopped.batch, stopped.candidate_id, '', stopped.video_id, stopped.start_s, stopped.end_s,
        stopped.step, 'rule', fired.rule, fired.position, false,
        fired.measure, fired.measured, fired.op, fired.value, fired.unit, null, null
    from stopped_by_rule as stopped
    join fetch_rules as fired using (batch, candidate_id)
    where fired.rule != stopped.reason and not stopped.is_taken

    union all

    select
        batch, candidate_id, '', video_id, start_s, end_s, step, 'failure', reason, null, true,
        null, null, null, null, null, detail, null
    from stopped
    where status = 'failed'
),

-- Whose score a rule compares: a tagger's, the scorers that effective_z sums, a calibrated scorer's (`sigma_<scorer>`); all
-- else is said beside the built-in one's. `models`: where int_scores cannot name the model.
judged as (
    select
        removed.*,
        removed.sample_id != '' and removed.is_first and removed.reason = 'taken_down' as is_taken,
        removed.kind = 'rule' and (removed.step = 'separate' or coalesce(removed.measure = 'is_covered', false)) as is_tag,
        case
            when is_taken then null
            when is_tag then heard.tagged_by
            when removed.measure = 'effective_z' then sigmas.together_scorers
            when removed.measure in ('sigma_avset', 'is_calibrated', 'has_avset_score') then '{{ var('avset_scorer') }}'
            when starts_with(removed.measure, 'sigma_') then substr(removed.measure, 7)
            else 'builtin'
        end as scorer,
        case
            when not is_tag then null
            when removed.step = 'separate' then removed.measured
            when starts_with(lower(removed.detail), 'music') then heard.music
            else heard.speech
        end as tag_score,
        if(is_tag, heard.tagger, if(contains(sigmas.together_models, ', '), sigmas.together_models, null)) as models
    from removed
    left join heard using (batch, candidate_id, sample_id)
    left join {{ ref('int_sigmas') }} as sigmas
        on removed.measure = 'effective_z' and sigmas.sample_id = removed.sample_id
)

select
    judged.batch,
    judged.candidate_id,
    judged.sample_id,
    if(judged.is_taken, null, candidates.source_id) as source_id,
    if(judged.is_taken, null, candidates.url) as url,
    judged.video_id,
    if(judged.is_taken, null, judged.start_s) as start_s,
    if(judged.is_taken, null, judged.end_s) as end_s,
    judged.step,
    judged.kind,
    judged.reason,
    judged.position,
    judged.is_first,
    judged.measure,
    judged.measured,
    judged.op,
    judged.threshold,
    judged.unit,
    coalesce(judged.tag_score, scores.score) as score,
    if(judged.models is null, scores.sound, judged.sound) as sound,
    if(judged.models is null, scores.scorer, judged.scorer) as scorer,
    coalesce(judged.models, scores.model) as model,
    judged.detail
from judged
left join {{ ref('int_takedowns') }} as taken on taken.sample_id = judged.sample_id
join {{ ref('int_shown_candidates') }} as candidates using (batch, candidate_id)
left join {{ ref('int_scores') }} as scores
    on scores.sample_id = judged.sample_id and scores.scorer = judged.scorer and scores.sound = judged.sound
where (judged.is_taken or taken.sample_id is null)
