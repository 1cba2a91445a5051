-- One row per run of a benchmark and group of the clips that it was tried on: the run's figure on that group.
select
    release,
    task,
    model,
    "set",
    cast(seed as bigint) as seed,
    split,
    metric,
    group_id,
    cast(examples as bigint) as examples,
    {{ finite('value') }} as value,
    {{ finite('chance') }} as chance,
    {{ finite('ceiling') }} as ceiling,
    cast(clips as bigint) as clips,
    preset,
    run
from {{ stage_table('run_metrics') }}
