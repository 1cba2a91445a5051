-- One row per clip and candidate for which a rule fires before release: the first rule.
{{ first_failed(ref('int_clip_measures'), ['batch', 'candidate_id', 'sample_id'], var('release_points')) }}
