-- One row per frozen correspondence scorer that says how good it is.
select * from read_parquet('scorers.parquet')
