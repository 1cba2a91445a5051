"""Grain: one row per family and video of its set, with its group and split; see winnow.splits.families."""


def model(dbt, session):
    dbt.config(materialized="table")
    from winnow.splits.families import assign_families

    shares = dbt.ref("split_shares").order("position").fetchall()
    columns = "family, video_id, uploader_key, source_sha256, label, given_split"
    rows = dbt.ref("int_avel_split_rows").project(columns).distinct().order(columns).to_arrow_table()
    return assign_families(rows, shares={split: share for _, split, share, *_ in shares})
