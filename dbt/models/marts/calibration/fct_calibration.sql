-- One row per scorer, model and kind of pairs: all parameters of the calibration, and the histogram of the scores.
select * from {{ ref('stg_calibration') }}
