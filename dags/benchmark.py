"""Train models on a release, and on as many other clips of the same candidates: is the release worth more?

Clips of one release, labelled ones where a task needs labels, make training sets of one size: what the release keeps,
random candidates, what it dropped, and what scores highest. Every model is trained on every set with every seed, in as
many steps, and tried once on the same clips of the release's test split, which share no video, uploader or
near-duplicate with any set. The figures go into the corpus's table `run_metrics`; the next release shows them, with
intervals and with what random candidates are worth, in its report.

It runs by hand, with a release or for the current one, and after every release where the deployment names tasks
(`WINNOW_BENCHMARK_TASKS=avel,parse`). A run that was killed is gone on from; the same inputs again train nothing.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param, task_group

from winnow_stage import DEFAULT_ARGS, CellsOperator, chosen, command

FOUND = "ti.xcom_pull(task_ids='features', key='summary')"
PLAN = "{{ ti.xcom_pull(task_ids='sets', key='summary')['plan'] }}"
WHAT = ("--models", "{{ params.models | join(',') }}", *chosen("preset"))

with DAG(
    "benchmark",
    description="A release → what models learn from it, beside random, rejected and top-scored clips",
    doc_md=__doc__,
    schedule=None,  # `release` triggers it where the deployment names tasks
    catchup=False,
    max_active_runs=1,  # two runs over one release would train the same models
    default_args=DEFAULT_ARGS,
    tags=["winnow", "model"],
    params={
        "release": Param(
            "", type="string", pattern="^[0-9a-f]*$", description="A release's id; the current one if empty"
        ),
        "tasks": Param(
            [],
            type="array",
            items={
                "type": "string",
                "enum": ["avel", "parse", "retrieve", "contrast", "probe", "onscreen", "query-separate"],
            },
            uniqueItems=True,
            description="What is learned; the deployment's tasks if empty, and nothing where it names none",
        ),
        "models": Param(
            [],
            type="array",
            items={"type": "string", "pattern": "^[a-z0-9-]+$"},
            uniqueItems=True,
            description="Which models of these tasks; if empty all of each (avel: seven) but zeroshot and towers",
        ),
        "seeds": Param(3, type="integer", minimum=1, maximum=100, description="Draws of each set, and runs of each"),
        "preset": Param(
            "demo", enum=["demo", "paper"], description="Sizes and schedules; paper needs published features and a GPU"
        ),
    },
):

    @task_group(prefix_group_id=False)
    def learn(cell: str):
        """One model on one set with one seed."""
        own = ("--plan", PLAN, "--cell", cell)
        train = command("benchmark train", *own, *chosen("preset"), task_id="train", pool="decode")
        train >> command("benchmark evaluate", *own, task_id="evaluate", pool="decode")

    features = command(
        "benchmark features",
        *chosen("release"),
        "--tasks",
        "{{ params.tasks | join(',') }}",
        *WHAT,
        task_id="features",
        pool="decode",
        skip_on="no_tasks",
    )
    sets = command(
        "benchmark sets",
        "--release",
        f"{{{{ {FOUND}['release'] }}}}",
        "--tasks",
        f"{{{{ {FOUND}['tasks'] | join(',') }}}}",
        *WHAT,
        *chosen("seeds"),
        task_id="sets",
        operator=CellsOperator,
        pool="decode",
    )
    collect = command("benchmark collect", "--plan", PLAN, task_id="collect")

    features >> sets >> learn.expand(cell=sets.output) >> collect
