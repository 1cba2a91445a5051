"""Grain: one row per row of int_split_rows, with its group and split; see winnow.splits.groups for the policies."""


def model(dbt, session):
    dbt.config(materialized="table")
    from winnow.splits.groups import assign

    shares = dbt.ref("split_shares").order("position").fetchall()
    return assign(
        dbt.ref("int_split_rows").to_arrow_table(),
        published=dbt.ref("int_published_groups").to_arrow_table(),
        shares={split: share for _, split, share, *_ in shares},
        policy=dbt.config.get("split_policy"),
    )
