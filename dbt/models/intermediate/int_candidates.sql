-- One row per row of a list: how far it came, and why no further. A candidate that gave fewer clips than it should have
-- counts as clipped, and its detail says what was lost.
{{ config(materialized = 'by_batch') }}
with clips as (
    select
        batch,
        candidate_id,
        count(*) filter (where outcome = 'ok') as clips,
        min(reason) filter (where outcome = 'failed') as reason,
        min(detail) filter (where outcome = 'failed') as detail
    from {{ ref('stg_clip') }}
    group by batch, candidate_id
),

steps as (
    select
        ingest.*,
        fetched.media_sha256 as source_sha256,
        fetched.fetched_title,
        fetched.fetched_uploader,
        fetched.fetched_duration_s,
        coalesce(clips.clips, 0) as clips,
        case
            when ingest.outcome = 'failed' then ['ingest', 'failed', ingest.reason, ingest.detail]
            when screen.outcome = 'failed' then ['screen', 'failed', screen.reason, screen.detail]
            when screen.outcome is null then ['screen', 'pending', 'not_screened', null]
            when decide.outcome = 'failed' then ['decide', 'dropped', decide.rule, decide.detail]
            when decide.outcome is null then ['decide', 'pending', 'not_decided', null]
            when fetched.outcome = 'failed' then ['fetch', 'failed', fetched.reason, fetched.detail]
            when plan.candidate_id is null then ['fetch', 'pending', 'not_planned', null]
            when fetched.outcome is null then ['fetch', 'pending', 'not_fetched', null]
            when clips.clips > 0 then ['clip', 'clipped', null, clips.reason || ': ' || clips.detail]
            when clips.reason is not null then ['clip', 'failed', clips.reason, clips.detail]
            else ['clip', 'pending', 'not_clipped', null]
        end as came_to
    from {{ ref('stg_ingest') }} as ingest
    left join {{ ref('stg_screen') }} as screen using (batch, candidate_id)
    left join {{ ref('stg_decide') }} as decide using (batch, candidate_id)
    left join {{ ref('stg_plan') }} as plan using (batch, candidate_id)
    left join {{ ref('stg_fetch') }} as fetched using (batch, candidate_id)
    left join clips using (batch, candidate_id)
)

select
    * exclude (outcome, reason, detail, came_to),
    came_to[1] as step,
    came_to[2] as status,
    came_to[3] as reason,
    came_to[4] as detail,
    nullif(trim(coalesce(extra ->> '$.caption[0]', extra ->> '$.caption')), '') as caption,
    nullif(lower(trim(coalesce(uploader, fetched_uploader))), '') as uploader_key
from steps
