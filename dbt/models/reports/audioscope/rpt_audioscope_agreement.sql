-- One row per question and split of the rated clips: how far raters agree.
select
    question,
    split,
    clips,
    answers,
    clips_compared,
    clips_unanimous,
    alpha
from {{ ref('int_audioscope_agreement') }}
