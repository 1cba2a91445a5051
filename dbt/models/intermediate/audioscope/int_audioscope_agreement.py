"""Grain: one row per question and split of the rated clips: how far raters agree; see winnow.estimates.agreement."""


def model(dbt, session):
    dbt.config(materialized="table")
    from winnow.estimates.agreement import agreement

    columns = "sample_id, coalesce(split, 'none') as split, onscreen_yes, onscreen_no, offscreen_yes, offscreen_no"
    return agreement(dbt.ref("audioscope_ratings").project(columns).order("sample_id").to_arrow_table())
