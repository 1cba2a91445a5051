"""Score batches by further scorers of correspondence, tag them, calibrate the scorers, and admit the batches anew.

`curate` scores every clip by the built-in scorer. Those of this DAG cost more or need weights, so somebody asks for
them, for named batches or all admitted ones: `two_tower` (contrastive, fitted on the corpus: by the first run, or again
with `refit`), `ridge` (a map, fitted likewise, from `efficientnet`'s vectors to `yamnet`'s, which are made first),
`bridge` (PANNs' tags, which `panns` makes first, as texts against open_clip's pictures), `joint` (an exported model).
`panns` or `yamnet` alone give 520 tags a clip, not the built-in tagger's four; `vggish` and `vgg19` vectors by second.

Clips are flagged by their tags, so after the taggers other clips are flagged than before: what is flagged now is
separated and scored again before anything else is scored or admitted. `stages` repeats what `curate` was given for
`separate`. Scorers score what is left of a separated sound too, so where that has changed a run names every scorer in
use: a table of one that it does not name stands on what was separated before, and is not admitted.

A score means nothing before it is known how high a scorer scores pairs that do not belong together: `calibrate` draws
such pairs from the same batches. At the end the gate checks the new tables and admits the batches with them, and so
triggers `release`.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, PartitionedAtRuntime, task_group

from winnow_stage import BATCHES, DEFAULT_ARGS, BatchesOperator, chosen, command, stage, unless_chosen

KEYS = "{{ params.batches | sort | join(',') }}"
NAMED = "{{ ti.xcom_pull(task_ids='batches') | join(',') }}"
SCORERS, ENCODERS = ("bridge", "joint", "ridge", "two_tower"), ("efficientnet", "panns", "vgg19", "vggish", "yamnet")
#: What a run does not ask for is skipped, and what follows goes on; without batches nothing follows.
ANYWAY = {"trigger_rule": "none_failed_min_one_success"}

with DAG(
    "score",
    description="Admitted batches → PANNs tags and scores of further scorers, calibrated and admitted",
    doc_md=__doc__,
    schedule=PartitionedAtRuntime(),  # never by itself; one run admits several partitions
    max_active_runs=1,  # two fits would race for the one current model
    default_args=DEFAULT_ARGS,
    tags=["winnow", "model"],
    params={
        "batches": Param(
            [],
            type="array",
            items={"type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]*$"},
            uniqueItems=True,
            description="Batches to score; all admitted ones if empty",
        ),
        "scorers": Param(
            ["two_tower"],
            type="array",
            items={"enum": [*ENCODERS, *SCORERS]},
            minItems=1,
            uniqueItems=True,
            description="Which: two_tower, ridge, bridge, joint; yamnet or panns for tags; vgg19, vggish for training",
        ),
        "refit": Param(False, type="boolean", description="Fit two_tower and ridge anew although they are fitted"),
        "seed": Param(0, type="integer", minimum=0, description="Seed of the fit and of the pairs"),
        "stages": Param(
            {}, type="object", additionalProperties={"type": "object"}, description="Parameters by stage, as in curate"
        ),
    },
):

    @task_group(prefix_group_id=False)
    def encode(batch: str):
        """The vectors of one batch that `ridge` is fitted on."""
        for name in ("efficientnet", "yamnet"):
            stage(name, batch=batch, pre_execute=unless_chosen("scorers", name, "ridge"))

    @task_group(prefix_group_id=False)
    def score(batch: str):
        """The scores of one batch, by the scorers that the run asks for."""
        panns = stage("panns", batch=batch, pre_execute=unless_chosen("scorers", "panns", "bridge"), **ANYWAY)
        flag = command("decide", "--point", "separate", "--batch", batch, task_id="flag", **ANYWAY)
        separate, rescore = stage("separate", batch=batch), stage("rescore", needs_model=True, batch=batch)
        names = (*SCORERS, "vgg19", "vggish")
        asked = [stage(name, batch=batch, pre_execute=unless_chosen("scorers", name), **ANYWAY) for name in names]

        [batches, panns] >> flag >> separate >> [rescore, *asked]

    named = ("--batches", NAMED, *chosen("seed"))
    batches = command(
        "cluster", "--dry-run", "--batches", KEYS, task_id="batches", operator=BatchesOperator, skip_on="empty"
    )
    fits = (*named, "{{ '--always' if params.refit else '--if-unfitted' }}")
    fit, fit_ridge = (
        command(
            "fit", "--scorer", scorer, *fits, task_id=task, pool="decode", pre_execute=unless_chosen("scorers", scorer)
        )
        for scorer, task in (("two_tower", "fit"), ("ridge", "fit_ridge"))
    )
    them = f"{{{{ params.scorers | reject('in', {list(ENCODERS)}) | sort | join(',') }}}}"
    some = unless_chosen("scorers", *SCORERS)
    calibrate = command("calibrate", *named, "--scorers", them, pool="decode", pre_execute=some, **ANYWAY)
    gate = command("gate", "--batch", NAMED, admits=NAMED, outlets=[BATCHES], **ANYWAY)

    batches >> encode.expand(batch=batches.output) >> fit_ridge
    [fit, fit_ridge] >> score.expand(batch=batches.output) >> calibrate >> gate
    batches >> [fit, calibrate, gate]
