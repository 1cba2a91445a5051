"""Select from the whole corpus the clips whose picture and sound tell most about each other (ACAV100M).

Every feature layer is clustered by k-means over the admitted batches, every clip is assigned to the centres, and clips
are put into the order in which they add mutual information; how much of that order is published is a rule in SQL.
Layers are the built-in ones, or with the Param `pretrained` those of open_clip and PANNs, which are computed first.
What PANNs' tags flag is then separated and scored again: `stages` repeats what `curate` was given for `separate`.
Centres are frozen by their digest: while the clips and the parameters are the same, nothing is fitted or assigned
again. With `incremental` the centres and the selection that are there stay as they are, and it grows by the clips that
came since.

It runs each Monday night, over what is admitted by then (nothing: it is skipped), or by hand. At its end every batch
is admitted anew, with its clusters, which triggers `release`.
"""

from __future__ import annotations

from airflow.sdk import DAG, CronPartitionTimetable, Param, task_group

from winnow_stage import BATCHES, DEFAULT_ARGS, BatchesOperator, chosen, command, stage, unless_asked

KEYS = "{{ params.batches | sort | join(',') }}"
LAYER = "{{ '%s' if params.pretrained else '%s' }}"
LAYERS = ("--visual", LAYER % ("open_clip", "visual"), "--audio", LAYER % ("panns", "audio"))
NAMED = "{{ ti.xcom_pull(task_ids='batches') | join(',') }}"

with DAG(
    "select",
    description="All admitted batches → clusters of every layer, and a selection by mutual information",
    doc_md=__doc__,
    schedule=CronPartitionTimetable("0 3 * * 1", timezone="UTC", key_format="%Y-%m-%d"),
    catchup=False,  # it always selects from all there is
    max_active_runs=1,  # one set of centres and one selection are current
    default_args=DEFAULT_ARGS,
    tags=["winnow", "dataset"],
    params={
        "batches": Param(
            [],
            type="array",
            items={"type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]*$"},
            uniqueItems=True,
            description="Batches to cluster and select from; all admitted ones if empty",
        ),
        "pretrained": Param(False, type="boolean", description="Layers of open_clip and PANNs, not the built-in ones"),
        "clusters": Param(
            32, type="integer", minimum=2, description="Centres a layer; its pod has memory for 1,024 of Cnn14"
        ),
        "share": Param(0.2, type="number", exclusiveMinimum=0, maximum=1, description="Share that is put in order"),
        "among": Param("kept", enum=["kept", "admitted"], description="Clips that a release keeps, or all admitted"),
        "pairing": Param("bipartite", type="string", description="Which layers are compared: bipartite, combination …"),
        "method": Param("batch", enum=["batch", "exact", "mixture"], description="How it is searched: `winnow select`"),
        "preset": Param("default", enum=["default", "acav"], description="Batch and take: 20 and 1, or ACAV's 20, 4"),
        "incremental": Param(
            False, type="boolean", description="Keep the centres and the selection that are there, and add to it"
        ),
        "seed": Param(0, type="integer", minimum=0, description="Seed of the centres and of the selection"),
        "stages": Param(
            {}, type="object", additionalProperties={"type": "object"}, description="Parameters by stage, as in curate"
        ),
    },
):

    @task_group(prefix_group_id=False)
    def features(batch: str):
        """Pretrained layers of one batch, where the run asks for them. `panns` tags too: what is flagged by its tags is
        separated and scored again, as in curate."""
        _, panns = (stage(name, batch=batch, pre_execute=unless_asked("pretrained")) for name in ("open_clip", "panns"))
        flag = command("decide", "--point", "separate", "--batch", batch, task_id="flag")

        panns >> flag >> stage("separate", batch=batch) >> stage("rescore", needs_model=True, batch=batch)

    @task_group(prefix_group_id=False)
    def assign(batch: str):
        """The clusters of one batch."""
        stage("cluster", batch=batch)

    batches = command(
        "cluster", "--dry-run", "--batches", KEYS, *LAYERS, task_id="batches", operator=BatchesOperator, skip_on="empty"
    )
    how = (*LAYERS, *chosen("clusters", "seed"), "{{ '--keep' if params.incremental else '--refit' }}")
    # features are skipped unless asked for; nothing follows no batches
    anyway = {"trigger_rule": "none_failed_min_one_success"}
    centres = command(
        "cluster", "--batches", NAMED, *how, task_id="centres", operator=BatchesOperator, pool="decode", **anyway
    )
    gate = command("gate", "--batch", NAMED)
    select = command(
        "select",
        "--batches",
        NAMED,
        *chosen("share", "among", "pairing", "method", "preset", "seed"),
        "{{ '--incremental' if params.incremental else '--from-scratch' }}",
        pool="decode",
        admits=NAMED,
        outlets=[BATCHES],
    )

    batches >> features.expand(batch=batches.output) >> centres
    batches >> centres
    centres >> assign.expand(batch=centres.output) >> gate >> select
