"""Grain: one row per clip in a group of copies: the group's head and its rank; see winnow.duplicates.groups."""


def model(dbt, session):
    dbt.config(materialized="table")
    from winnow.duplicates.groups import keep_best

    pairs = dbt.ref("int_duplicate_pairs").filter("is_copy").to_arrow_table()
    return keep_best(dbt.ref("int_duplicate_clips").to_arrow_table(), pairs)
