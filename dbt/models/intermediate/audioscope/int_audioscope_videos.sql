-- One row per video of AudioScope's lists: its uploader, how long it is, and its split.
--
-- A split belongs to an uploader (to the video where nobody knows him): the one that a published list gives, else the one
-- that the digest of his name falls to. Published lists that put one uploader into two splits contradict the rule that
-- nobody crosses splits: he stays in the later one (audioscope_splits), and his videos that a list gives to another have
-- no split.
with listed as (
    select
        video_id,
        min({{ audioscope_video() }}) as video,
        min(uploader_key) as uploader_key,
        bool_or(start_s is null and end_s is null) as is_whole,
        cast(round(coalesce(min(declared_duration_s), min(fetched_duration_s)) * 1000) as bigint) as duration_ms
    from {{ audioscope_candidates() }}
    group by video_id
),

shares as (
    select
        position,
        split,
        cast(sum(share) over (order by position) * 1000000 as hugeint) as upto_millionths
    from {{ ref('audioscope_splits') }}
),

given as (
    select key as video, max(position) as given_position
    from {{ ref('stg_given_split') }}
    join {{ ref('audioscope_splits') }} using (split)
    where family = 'audioscope'
    group by key
),

videos as (
    select *, coalesce(uploader_key, video_id) as owner
    from listed
    left join given using (video)
),

owners as (
    select
        owner,
        max(given_position) as given_position,
        cast('0x' || left(sha256('audioscope-split' || chr(31) || owner), 15) as bigint) as bucket
    from videos
    group by owner
),

-- Digits of the digest make a number below 2^60, compared with the shares' sums as integers.
assigned as (
    select
        owners.owner,
        coalesce(owners.given_position, min(shares.position)) as position
    from owners
    left join shares
        on owners.given_position is null
        and owners.bucket::hugeint * 1000000 < shares.upto_millionths * 1152921504606846976::hugeint
    group by owners.owner, owners.given_position
)

select
    videos.video_id,
    videos.video,
    videos.uploader_key,
    videos.owner,
    if(videos.is_whole, videos.duration_ms, null) as duration_ms,
    videos.given_position is not null as split_is_given,
    if(coalesce(videos.given_position, assigned.position) = assigned.position, shares.split, null) as split
from videos
join assigned using (owner)
join shares on shares.position = assigned.position
