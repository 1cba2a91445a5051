"""Fit the correspondence scorer on named batches, score them with it, and admit them.

A scorer compares what a clip shows with what it sounds like, so it has to be fitted on clips: on the first batches,
and again whenever someone decides to. It is cross-fitted by source video (no clip is scored by a model that saw its
video), frozen by its digest, and used for every later batch until the next fit. The batches' scores are measured anew,
how high the scorer scores pairs that do not belong together is measured beside them (`calibrate`), the gate admits them
together, and `release` is triggered as it is by `curate`.

Trigger it by hand or through the REST API with the batches that `curate` has measured:
`{"batches": ["2026-11-01", "2026-11-02", "2026-11-03"]}`.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, PartitionedAtRuntime, task_group

from winnow_stage import BATCHES, DEFAULT_ARGS, FitOperator, command, stage

KEYS = "{{ params.batches | sort | join(',') }}"

with DAG(
    "fit",
    description="Fit the correspondence scorer on named batches, score and admit them",
    doc_md=__doc__,
    schedule=PartitionedAtRuntime(),  # never by itself; one run admits several partitions
    max_active_runs=1,  # two fits would race for the one current scorer
    default_args=DEFAULT_ARGS,
    tags=["winnow", "model"],
    params={
        "batches": Param(
            [],
            type="array",
            items={"type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]*$"},
            minItems=1,
            uniqueItems=True,
            description="Batches that curate has measured, as in 2026-11-01",
        ),
        "seed": Param(0, type="integer", minimum=0, description="Seed of the folds and of the mismatched pairs"),
        "stages": Param(
            {}, type="object", additionalProperties={"type": "object"}, description="Parameters by stage, as in curate"
        ),
    },
):

    @task_group(prefix_group_id=False)
    def score(batch: str):
        """The scores of one batch, of its clips' sound and of what is left of it without dialogue."""
        stage("correspond", batch=batch) >> stage("rescore", batch=batch)

    fit = command("fit", "--batches", KEYS, "--seed", "{{ params.seed }}", operator=FitOperator, pool="decode")
    calibrate = command("calibrate", "--batches", KEYS, "--seed", "{{ params.seed }}", pool="decode")
    gate = command("gate", "--batch", KEYS, admits=KEYS, outlets=[BATCHES])

    fit >> [score.expand(batch=fit.output), calibrate] >> gate
