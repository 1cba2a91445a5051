-- One row per run of a benchmark, split and metric: what a model that was trained on one set with one seed scores.
select
    release,
    task,
    model,
    "set",
    seed,
    split,
    metric,
    round(list_sum(list(value * examples order by group_id)) / sum(examples), 9) as value,
    round(list_sum(list(chance * examples order by group_id)) / sum(examples), 9) as chance,
    min(ceiling) as ceiling,
    cast(sum(examples) as bigint) as examples,
    count(*) as groups,
    min(clips) as clips,
    min(preset) as preset,
    min(run) as run
from {{ ref('stg_run_metrics') }}
group by release, task, model, "set", seed, split, metric
