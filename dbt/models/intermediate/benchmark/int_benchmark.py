"""Grain: one row per release, task, model, training set, split and metric; see winnow.estimates.learned."""


def model(dbt, session):
    dbt.config(materialized="table")
    from winnow.estimates.learned import learned

    return learned(dbt.ref("stg_run_metrics").to_arrow_table())
