"""Grain: one row per audit and pair of its reviewers, and one for all of them; see winnow.estimates.precision."""


def model(dbt, session):
    dbt.config(materialized="table")
    from winnow.estimates.precision import agreement

    return agreement(dbt.ref("int_audit_answers").order("audit, sample_id, reviewer").to_arrow_table())
