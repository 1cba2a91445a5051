-- One row per scorer, model and kind of pairs: the distribution of their scores.
select
    scorer,
    model,
    kind,
    basis,
    cast(n as bigint) as n,
    {{ finite('mean') }} as mean,
    {{ finite('std') }} as std,
    {{ finite('minimum') }} as minimum,
    {{ finite('maximum') }} as maximum,
    {{ finite('skewness') }} as skewness,
    {{ finite('kurtosis') }} as kurtosis,
    {{ finite('above_3std') }} as above_3std,
    {{ finite('hist_start') }} as hist_start,
    {{ finite('hist_width') }} as hist_width,
    cast(hist_counts as bigint[]) as hist_counts,
    cast(clips as bigint) as clips,
    cast(folds as bigint) as folds,
    cast(seed as bigint) as seed,
    cast(batches as varchar[]) as batches
from {{ stage_table('calibration') }}
