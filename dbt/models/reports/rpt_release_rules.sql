-- One row per rule before release: how many clips pass it alone, and how many pass it and all rules before it.
--
-- Rules of a point that does not decide (var release_points) are counted too: AVSET-10M's threshold drops what it drops,
-- and is seen, before anyone switches it on. A clip counts once, by the candidate that reached it first. A rule that cannot
-- be checked for a clip (its measure is null) does not fire; but nor does such a clip pass it alone.
with fired as (
    select fired.point, fired.position, fired.sample_id
    from ({{ fired(ref('int_clip_measures'), 'batch, candidate_id, sample_id', ['release', 'avset', 'picture']) }}) as fired
    join {{ ref('int_clips') }} as clips using (batch, candidate_id, sample_id)
    where clips.occurrence = 1
),

ruled as (select * from {{ ref('int_clips') }} where occurrence = 1),

measured as (
    select measure, count(*) as clips
    from (
        unpivot (
            select measures.* from {{ ref('int_clip_measures') }} as measures
            semi join ruled using (batch, candidate_id, sample_id)
        ) on columns(* exclude (batch, candidate_id, sample_id)) into name measure value measured
    )
    group by measure
),

{{ alone_and_in_order('ruled', 'clips', 'sample_id', ['release', 'avset', 'picture'], var('release_points'), 'measured') }}
    and rules.measure not in ('joins_two_splits', 'duplicate_rank')
