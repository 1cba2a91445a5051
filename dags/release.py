"""Publish the dataset: every admitted batch, decided, split, checked, reported and published in one step.

An admitted batch triggers it. What it publishes depends on the lake alone and never on which event came first: the
admitted batches are read when the run starts, so several events may coalesce into one run or queue as several, one at
a time, of which the later ones find their content already published and stop at `build`. A failing gate stops the
release and names table, rule and rows; readers keep the release they have until `publish` swaps it. Where the
deployment names tasks (`WINNOW_BENCHMARK_TASKS`), models are then trained on it (`benchmark`).
"""

from __future__ import annotations

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, FixedKeyMapper, Param, PartitionedAssetTimetable

from winnow_stage import BATCHES, DEFAULT_ARGS, command, unless_asked, unless_deployed

with DAG(
    "release",
    description="All admitted batches → one gated, published dataset release",
    doc_md=__doc__,
    # A plain asset schedule does not hear partitioned events; one fixed key joins those of all days.
    schedule=PartitionedAssetTimetable(assets=BATCHES, default_partition_mapper=FixedKeyMapper("all")),
    catchup=False,
    max_active_runs=1,  # one writer
    default_args=DEFAULT_ARGS,
    tags=["winnow", "dataset"],
    params={
        "policy": Param(
            "hash",
            enum=["hash", "quota"],
            description="Splits: hash for a growing dataset (a clip never changes split), quota for a frozen edition",
        ),
        "approval": Param(False, type="boolean", description="Wait for a person's approval before publishing"),
    },
):
    build, gate, report = (
        command(f"release {step}", "--policy", "{{ params.policy }}", task_id=step, skip_on="already")
        for step in ("build", "gate", "report")
    )
    approve = ApprovalOperator(
        task_id="approve",
        subject="Publish this release?",
        body="Its gates have passed; the log of the task `report` says where its report lies.",
        pre_execute=unless_asked("approval"),
        execution_timeout=None,  # people take their time
    )
    publish = command(
        "release publish",
        "--policy",
        "{{ params.policy }}",
        task_id="publish",
        # After an approval, or where none was asked for; not after a rejection, and not where build found nothing new.
        trigger_rule="none_failed_min_one_success",
    )
    benchmark = TriggerDagRunOperator(
        task_id="benchmark",
        trigger_dag_id="benchmark",  # over the release that is current by then
        pre_execute=unless_deployed("WINNOW_BENCHMARK_TASKS"),
    )

    build >> gate >> report >> approve >> publish >> benchmark
    report >> publish
