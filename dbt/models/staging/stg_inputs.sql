-- One row per file that this build reads.
select
    stage,
    batch,
    cast(seq as bigint) as seq,
    v,
    shard,
    path,
    sha256,
    places
from read_parquet('inputs.parquet')
