-- One row per clip and list version for which it may be the second clip of a mixture.
{{ config(materialized = 'view') }}
{%- set columns = 'split, coalesce(uploader_key, video_id) as owner, video_id, start_ms, end_ms, sample_id' %}
select 'v2' as list_version, {{ columns }} from {{ ref('audioscope_clips') }} where in_v2 and split is not null
union all
select 'v1', {{ columns }} from {{ ref('audioscope_clips') }}
where in_v1 and split is not null and label = 'offscreen_only'
union all
select 'mixit', {{ columns }} from {{ ref('audioscope_clips') }} where in_mixit and split is not null
