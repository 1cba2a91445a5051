-- One row per frozen correspondence scorer and refit: how many decisions at the house's rule flipped by it.
select
    model,
    refit.kind,
    refit.number,
    refit.clips,
    refit.flipped,
    refit.flipped / nullif(refit.clips, 0) as flipped_share
from (select model, unnest(refits) as refit from {{ ref('stg_scorer') }})
