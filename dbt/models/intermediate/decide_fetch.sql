-- One row per readable, screened candidate: what `winnow plan` reads. `failed` is rejected, `reason` names the rule.
select
    measures.candidate_id as sample_id,
    if(failures.rule is null, 'ok', 'failed') as outcome,
    failures.rule as reason,
    failures.detail,
    measures.batch,
    ingest.video_id,
    ingest.url,
    ingest.start_s,
    ingest.end_s,
    ingest.title,
    ingest.uploader,
    ingest.source_id,
    ingest.content_sha256
from {{ ref('int_fetch_measures') }} as measures
join {{ ref('stg_ingest') }} as ingest using (batch, candidate_id)
left join {{ ref('int_fetch_failures') }} as failures using (batch, candidate_id)
