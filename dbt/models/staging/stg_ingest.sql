-- One row per row of a list, readable or not.
{{ config(materialized = 'by_batch') }}
select
    lake_batch as batch,
    lake_seq as seq,
    sample_id as candidate_id,
    outcome,
    reason,
    detail,
    video_id,
    source,
    list_path,
    cast(list_row as bigint) as list_row,
    source_id,
    url,
    {{ finite('start_s') }} as start_s,
    {{ finite('end_s') }} as end_s,
    title,
    description,
    uploader,
    license,
    cast(labels as varchar[]) as labels,
    {{ finite('duration_s') }} as declared_duration_s,
    extra,
    content_sha256
from {{ stage_table('ingest') }}
