-- A step of a batch whose rows in are not all accounted for: must be none.
select * from {{ ref('rpt_funnel') }} where unexplained != 0
