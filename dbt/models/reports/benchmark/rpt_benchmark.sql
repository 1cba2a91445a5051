-- One row per release, task, model, training set, split and metric: mean over seeds with its interval, and the gain over
-- as many random candidates.
select
    figures.release,
    figures.task,
    figures.model,
    figures."set",
    figures.split,
    figures.metric,
    runs.clips,
    figures.seeds,
    figures.examples,
    figures.groups,
    figures.mean,
    figures.low,
    figures.high,
    figures.deviation,
    figures.chance,
    figures.ceiling,
    figures.gain,
    figures.gain_low,
    figures.gain_high,
    figures.verdict,
    runs.preset
from {{ ref('int_benchmark') }} as figures
join (
    select release, task, model, "set", split, metric, min(clips) as clips, min(preset) as preset
    from {{ ref('fct_benchmark') }}
    group by release, task, model, "set", split, metric
) as runs using (release, task, model, "set", split, metric)
