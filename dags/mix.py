"""Render the mixtures of mixtures of a release (AudioScope): clip 1's picture under the sum of two clips' sound.

A release says which clips go together (`audioscope_mixtures`), and most users need no more than that list. Whoever
wants files starts this DAG by hand or through the REST API, after a release that has mixtures: the rows whose two clips
were fetched and cut become a batch of their own, `mix-<release>`, cut into shards; every shard is rendered into one
WebDataset tar; and the gate checks levels, lengths and padding. Rows whose clips are not in the lake stay rows, with
that as their reason. Finished shards are skipped, so a second run renders only what is new.

Nothing here changes the dataset: the next release is what it would have been, with the batch among its provenance.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, task_group

from winnow_stage import DEFAULT_ARGS, PlanOperator, command, stage

BATCH = "{{ ti.xcom_pull(task_ids='mixtures', key='summary')['batch'] }}"

with DAG(
    "mix",
    description="A release's mixtures of mixtures → rendered and checked WebDataset tars",
    doc_md=__doc__,
    schedule=None,  # by hand: rendering costs, and most users need the list alone
    catchup=False,
    max_active_runs=1,  # two runs over one release would race to render the same shards
    default_args=DEFAULT_ARGS,
    tags=["winnow", "dataset"],
    params={
        "release": Param(
            "", type="string", pattern="^[0-9a-f]*$", description="A release's id; the current one if empty"
        ),
        "parts": Param(1, type="integer", minimum=1, maximum=1024, description="Tasks that share the shards"),
        "shard_size": Param(64, type="integer", minimum=1, description="Mixtures per shard: the unit of resume"),
        "stages": Param(
            {},
            type="object",
            additionalProperties={"type": "object"},
            description='Parameters by stage, as in {"mix": {"rate_hz": 16000}}; a change renders anew',
        ),
    },
):

    @task_group(prefix_group_id=False)
    def render(part: int):
        """One part of the shards."""
        stage("mix", batch=BATCH, part=part, parts="{{ params.parts }}")

    mixtures = command(
        "mix",
        "--release",
        "{{ params.release }}",
        "--shard-size",
        "{{ params.shard_size }}",
        operator=PlanOperator,
        task_id="mixtures",
    )
    gate = command("gate", "--batch", BATCH)

    mixtures >> render.expand(part=mixtures.output) >> gate
