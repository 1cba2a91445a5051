-- One row per family, clip and category that somebody labelled: its ten seconds, and where it stands in the sets.
--
-- The full set (VGGSound-AVEL100k's kind) holds the samples whose event is in them somewhere; the half set (50k's) holds
-- half of each of its categories, rounded up, drawn by the digest of seed and clip, in the same splits. A sample that a
-- published list puts into another split than its group's is in neither: it would leak.
with placed as (
    select
        labels.*,
        list_sum(labels.labels) as event_seconds,
        splits.group_id,
        given.given_split,
        splits.split as group_split,
        splits.is_given,
        if(coalesce(given.given_split, splits.split) = splits.split, splits.split, null) as split
    from {{ ref('int_avel_labels') }} as labels
    left join (
        select family, sample_id, label as category, min(given_split) as given_split
        from {{ ref('int_avel_split_rows') }}
        group by family, sample_id, label
    ) as given using (family, sample_id, category)
    left join {{ ref('int_avel_splits') }} as splits
        on splits.family = labels.family
        and splits.video_id = labels.video_id
        and given.sample_id is not null
),

drawn as (
    select
        *,
        row_number() over (
            partition by family, category, split is not null
            order by sha256(concat_ws(chr(31), 'avel-half', {{ var('avel_seed') }}, sample_id)), sample_id
        ) as place,
        count(*) over (partition by family, category, split is not null) as samples
    from placed
)

select
    family,
    sample_id,
    category,
    {{ avel_name('video', 'start_s') }} as clip,
    video,
    video_id,
    start_s,
    end_s,
    labels,
    audible,
    visible,
    cast(event_seconds as integer) as event_seconds,
    said_by,
    annotators,
    is_unanimous,
    group_id,
    split,
    case
        when split is not null then if(is_given, 'given', 'quota')
        when group_split is not null then 'leak'
        when event_seconds = 0 then 'no_event'
        else 'unknown_clip'
    end as split_by,
    split is not null and place <= (samples + 1) // 2 as in_half
from drawn
