{# The candidates of int_candidates that AudioScope's lists are made of: all but those that were rejected, lost or taken down. #}
{% macro audioscope_candidates() -%}
    (
        select *
        from {{ ref('int_candidates') }}
        anti join {{ ref('int_taken_candidates') }} using (batch, candidate_id)
        where
            source in ('{{ var('audioscope_sources') | join("', '") }}')
            and video_id is not null
            and status not in ('failed', 'dropped')
    )
{%- endmacro %}

{# How AudioScope's lists name a candidate's video. #}
{% macro audioscope_video() -%}
    if(source = 'yfcc', substr(url, strpos(url, 'data/videos/mp4/')), url)
{%- endmacro %}

{# A number of audioscope_thresholds. #}
{% macro audioscope_least(rule) -%}
    (select least from {{ ref('audioscope_thresholds') }} where rule = '{{ rule }}')
{%- endmacro %}

{#
    One row per mixture of two clips: list_version, split, label, position (from 1), clip1_sample_id, clip2_sample_id.

    `firsts`: list_version, split, label, ratio, owner, sample_id; each of these clips is clip 1 of `ratio` mixtures.
    `pool`: list_version, split, owner, video_id, start_ms, end_ms, sample_id; clip 2 is any clip of the same list and split whose owner
    (the uploader, or the video where nobody knows him) is another, each equally likely, and none twice for one clip 1.
    Where the pool holds fewer than `ratio` of them, all are taken.

    Nothing is joined with everything. The pool's videos are laid out by owner, so that "another owner" is all places but
    one stretch; a number drawn below the count of those places is a place; the place leads to a video (ASOF) and to a clip
    within it. Distinct numbers are Floyd's: for j from n - k to n - 1 draw t from 0 to j and take it, or j where t is taken
    already (Bentley and Floyd, A sample of brilliance, CACM 30(9), 1987). Draws are digests of seed, list, clip and number.
#}
{% macro audioscope_pairs(firsts, pool, seed) -%}
with videos as (
    select list_version, split, owner, video_id, count(*) as clips
    from {{ pool }}
    group by list_version, split, owner, video_id
),

places as (
    select
        *,
        coalesce(
            sum(clips) over (
                partition by list_version, split order by owner, video_id
                rows between unbounded preceding and 1 preceding
            ),
            0
        )::bigint as first_place
    from videos
),

owners as (
    select list_version, split, owner, min(first_place) as own_place, sum(clips)::bigint as own
    from places
    group by list_version, split, owner
),

totals as (
    select list_version, split, sum(clips)::bigint as clips
    from places
    group by list_version, split
),

wanted as (
    select
        firsts.*,
        coalesce(owners.own, 0) as own,
        coalesce(owners.own_place, 0) as own_place,
        totals.clips - coalesce(owners.own, 0) as others,
        least(firsts.ratio, totals.clips - coalesce(owners.own, 0))::bigint as draws
    from {{ firsts }} as firsts
    join totals using (list_version, split)
    left join owners using (list_version, split, owner)
),

drawn as (
    select
        *,
        list_reduce(
            list_prepend(
                []::bigint[],
                list_transform(
                    range(draws),
                    lambda k: [
                        ('0x' || left(sha256(concat_ws(chr(31), '{{ seed }}', list_version, sample_id, k)), 15))::bigint
                        % (others - draws + k + 1),
                        others - draws + k
                    ]
                )
            ),
            lambda taken, draw: list_append(taken, if(list_contains(taken, draw[1]), draw[2], draw[1]))
        ) as numbers
    from wanted
    where draws > 0
),

placed as (
    select
        list_version,
        split,
        label,
        sample_id,
        position,
        numbers[position] + if(numbers[position] >= own_place, own, 0) as place
    from (select *, unnest(range(1, draws + 1)) as position from drawn)
),

found as (
    select placed.*, places.video_id, placed.place - places.first_place as nth
    from placed
    asof join places
        on placed.list_version = places.list_version
        and placed.split = places.split
        and placed.place >= places.first_place
),

ranked as (
    select
        list_version,
        split,
        video_id,
        sample_id,
        row_number() over (partition by list_version, split, video_id order by start_ms, end_ms, sample_id) - 1 as nth
    from {{ pool }} as pool
    semi join found using (list_version, split, video_id)
)

select
    found.list_version,
    found.split,
    found.label,
    found.position::integer as position,
    found.sample_id as clip1_sample_id,
    ranked.sample_id as clip2_sample_id
from found
join ranked using (list_version, split, video_id, nth)
{%- endmacro %}
