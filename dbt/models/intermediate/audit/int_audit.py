"""Grain: one row per audit, scope and part of its sample: the share that corresponds; see
winnow.estimates.precision."""


def model(dbt, session):
    dbt.config(materialized="table")
    from winnow.estimates.precision import estimates

    return estimates(dbt.ref("fct_audit").order("audit, sample_id").to_arrow_table())
