-- One row per two scorers and their models: correlation of their scores over the same non-corresponding pairs.
select
    scorer_a,
    model_a,
    scorer_b,
    model_b,
    basis,
    cast(n as bigint) as n,
    {{ finite('correlation') }} as correlation,
    cast(seed as bigint) as seed,
    cast(batches as varchar[]) as batches
from {{ stage_table('calibration_pair') }}
