-- One row per clip that a gate set aside: the tables and rules that say why.
select
    batch,
    sample_id,
    string_agg(stage || ': ' || rules, '; ' order by stage) as rules
from read_parquet('quarantined.parquet')
group by batch, sample_id
