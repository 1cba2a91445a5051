"""Curate one day's batch: from lists of candidate videos to measured, scored and admitted clips.

The partition is the batch: the lists in `<inbox>/<partition>/` become `candidates`; SQL decides which are worth
fetching; what is fetched is cut into clips, and every clip is measured and scored. SQL then flags the clips whose sound
speech or music may cover: the dialogue is taken out of it and what is left is scored again. The gate checks the batch's
tables and admits it to the lake's releases, which triggers `release`. An empty day skips everything and triggers
nothing.

It runs each midnight (UTC) over the day that has just ended, and over any days of a backfill, from the UI, from
`airflow backfill create --dag-id curate --from-date … --to-date …` or from `POST /api/v2/backfills`. Finished shards
are skipped: a reprocessing backfill computes only stages whose module, parameters, models or inputs have changed, and
each task's log says which and why. The first batches are measured and not scored, because no scorer is fitted yet: run
`fit` over them.
"""

from __future__ import annotations

from airflow.sdk import DAG, CronPartitionTimetable, Param, task_group

from winnow_stage import BATCH, BATCHES, DEFAULT_ARGS, PlanOperator, command, stage

with DAG(
    "curate",
    description="One day's lists → fetched, cut, measured, scored and admitted clips",
    doc_md=__doc__,
    # run_offset -1: at midnight the lists of the day before are complete. The plain date is the partition's folder.
    schedule=CronPartitionTimetable("0 0 * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    catchup=False,  # switching it on must not fetch the past: that is what a backfill is for
    max_active_runs=4,  # days of a backfill side by side; pools, or a cluster's quota, bound what they do at once
    default_args=DEFAULT_ARGS,
    tags=["winnow", "batch"],
    params={
        "batch": Param(
            "",
            type="string",
            description="Folder of the inbox to curate, for a run that is triggered without a partition",
        ),
        "parts": Param(1, type="integer", minimum=1, maximum=1024, description="Tasks that share a batch's shards"),
        "shard_size": Param(16, type="integer", minimum=1, description="Candidates per shard: the unit of resume"),
        "retry_reasons": Param(
            [],
            type="array",
            items={"type": "string"},
            description="Failed rows to try again, by transient Reason: timeout, refused, throttled, server_error …",
        ),
        "stages": Param(
            {},
            type="object",
            additionalProperties={"type": "object"},
            description='Parameters by stage, as in {"clip": {"window": "shot"}}; a change recomputes that stage',
        ),
    },
):
    share = {"parts": "{{ params.parts }}"}

    @task_group(prefix_group_id=False)
    def measure(part: int):
        """One part of the plan, from download to score and tags; parts do not wait for each other."""
        fetch = stage("fetch", pool="fetch", part=part, **share)
        clip, probe, visual, audio, tags = (
            stage(name, part=part, **share) for name in ("clip", "probe", "visual", "audio", "tags")
        )
        correspond = stage("correspond", needs_model=True, part=part, **share)
        fingerprint = stage("fingerprint", part=part, **share)

        fetch >> clip >> [probe, visual, audio] >> correspond
        clip >> tags
        [visual, audio] >> fingerprint
        return [correspond, fingerprint], visual, tags

    @task_group(prefix_group_id=False)
    def recycle(part: int):
        """One part of the flagged clips: their sound without the dialogue, and its score."""
        separate = stage("separate", part=part, **share)
        rescore = stage("rescore", needs_model=True, part=part, **share)

        separate >> rescore

    ingest = command("ingest", "--batch", BATCH, skip_on="empty")
    screen = stage("screen")
    decide = command("decide", "--point", "fetch", "--batch", BATCH)
    plan = command("plan", "--batch", BATCH, "--shard-size", "{{ params.shard_size }}", operator=PlanOperator)
    scored, *described = measure.expand(part=plan.output)
    # The whole batch is flagged at once, when it is seen and tagged: whether it is scored yet does not matter.
    flag = command("decide", "--point", "separate", "--batch", BATCH, task_id="flag")
    gate = command("gate", "--batch", BATCH, admits=BATCH, outlets=[BATCHES])

    ingest >> screen >> decide >> plan
    described >> flag >> recycle.expand(part=plan.output) >> gate
    scored >> gate
