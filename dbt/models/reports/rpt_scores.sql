-- One row per measure, bin and status: the histogram of a measure that a rule compares, and its threshold.
--
-- z is the effective one, which the rule compares: of all calibrated scorers together, and of a recycled clip's residual.
with rules as (
    select if(measure = 'effective_z', 'z', measure) as measure, min(value) as threshold
    from {{ ref('thresholds') }}
    where point = 'release' and measure in ('z', 'effective_z', 'duration_s', 'silence_ratio', 'stillness', 'black_ratio')
    group by all
),

measured as (
    select sample_id, status, measure, measured
    from (
        unpivot (select sample_id, status, effective_z as z, duration_s, silence_ratio, stillness, black_ratio from {{ ref('fct_clips') }})
        on z, duration_s, silence_ratio, stillness, black_ratio
        into name measure value measured
    )
),

binned as (
    select
        measure,
        case measure when 'z' then 0.25 when 'duration_s' then 1 else 0.05 end::double as bin_width,
        cast(floor(measured / case measure when 'z' then 0.25 when 'duration_s' then 1 else 0.05 end::double) as bigint) as bin,
        status
    from measured
)

select
    binned.measure,
    binned.bin,
    binned.bin * binned.bin_width as bin_start,
    (binned.bin + 1) * binned.bin_width as bin_end,
    binned.status,
    count(*) as clips,
    rules.threshold
from binned
left join rules using (measure)
group by binned.measure, binned.bin, binned.bin_width, binned.status, rules.threshold
