"""Grain: one row per scored clip of AudioScope's videos: its probability of coincidence; see winnow.estimates.platt."""


def model(dbt, session):
    dbt.config(materialized="table")
    from winnow.estimates.platt import probabilities

    [(least,)] = dbt.ref("audioscope_thresholds").filter("rule = 'enough_scores'").project("least").fetchall()
    scored = dbt.ref("int_clips").filter("occurrence = 1 and z is not null")
    scored = scored.join(dbt.ref("int_audioscope_videos"), "video_id", how="semi")
    rows = scored.project("sample_id, model, z").order("sample_id").to_arrow_table()
    return probabilities(rows, least=int(least))
