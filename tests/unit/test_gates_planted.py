"""Every rule of every suite can fail: each one meets a planted table that breaks it.

The tests are made from the suite files. A rule without a plant below fails, so a rule that nobody has ever seen fail
cannot be added.
"""

from __future__ import annotations

import shutil
from functools import lru_cache

import duckdb
import pyarrow as pa
import pytest

from tests.unit import synthetic
from winnow import table, warehouse
from winnow.gates.batch import fetch_rules
from winnow.gates.release import split_names
from winnow.gates.suites import BOUNDARIES, Suite, load_suites
from winnow.gates.tables import add_accounts
from winnow.gates.validate import validate
from winnow.sample import Reason
from winnow.settings import Settings

ONE = "sample_id = (SELECT min(sample_id) FROM {t} WHERE outcome = 'ok')"


def broken(column: str, value: str, stage: str = "{t}") -> str:
    """SQL that spoils one ok row of a stage's table."""
    return f"UPDATE {stage} SET {column} = {value} WHERE {ONE}".replace("{t}", stage)


def spoilt(name: str, column: str, value: str, where: str = "true") -> str:
    """SQL that spoils the first row of a published table."""
    return f"UPDATE {name} SET {column} = {value} WHERE rowid = (SELECT min(rowid) FROM {name} WHERE {where})"


BATCH = {
    "{stage}": {
        "sample_id_is_there": broken("sample_id", "NULL"),
        "sample_id_is_unique_in_its_shard": "INSERT INTO {t} (SELECT * FROM {t} LIMIT 1)",
        "sample_id_has_its_form": broken("sample_id", "'XYZ'"),
        "outcome_is_known": broken("outcome", "'perhaps'"),
        "outcome_is_there": broken("outcome", "NULL"),
        "reason_is_known": "UPDATE {t} SET outcome = 'failed', reason = 'bad luck' WHERE " + ONE,
        "failed_rows_have_a_reason": broken("outcome", "'failed'"),
    },
    "shards": {
        "every_shard_is_committed": "UPDATE shards SET committed = false WHERE stage = 'clip'",
        "tables_are_the_committed_bytes": "UPDATE shards SET digest_holds = false WHERE stage = 'clip'",
        "rows_are_ok_or_failed": "UPDATE shards SET failed = failed + 1 WHERE stage = 'clip'",
        "manifests_count_right": "UPDATE shards SET table_ok = table_ok + 1 WHERE stage = 'clip'",
        "columns_are_the_declared_ones": "UPDATE shards SET misfit_columns = 'fps' WHERE stage = 'clip'",
    },
    "missing": {"every_input_has_an_outcome": "DELETE FROM audio WHERE " + ONE.replace("{t}", "audio")},
    "orphans": {"every_outcome_has_an_input": broken("sample_id", "'0123456789abcdef0123'", "audio")},
    "ingest": {
        "a_candidate_comes_once": """INSERT INTO "ingest" (SELECT * FROM "ingest" WHERE outcome = 'ok' LIMIT 1)""",
        "candidates_have_a_url": broken("url", "NULL"),
        "candidates_have_a_video": broken("video_id", "'v'"),
        "video_is_there": broken("video_id", "NULL"),
        "source_is_there": broken("source", "NULL"),
        "segments_have_length": broken("start_s", "5, end_s = 5"),
        "segments_start_in_the_video": broken("start_s", "-1"),
    },
    "fetch": {
        "a_candidate_comes_once": """INSERT INTO "fetch" (SELECT * FROM "fetch" WHERE outcome = 'ok' LIMIT 1)""",
        "media_is_named_by_content": broken("media_sha256", "'abc'"),
        "media_digest_is_there": broken("media_sha256", "NULL"),
        "media_has_bytes": broken("media_bytes", "0"),
        "media_bytes_are_there": broken("media_bytes", "NULL"),
        "extension_is_lower_case": broken("media_ext", "'MP4'"),
    },
    "clip": {
        "clips_name_their_candidate": broken("candidate_id", "'c'"),
        "candidate_is_there": broken("candidate_id", "NULL"),
        "clips_name_their_video": broken("video_id", "NULL"),
        "clips_start_in_the_video": broken("start_s", "-1"),
        "clips_have_length": broken("duration_s", "0"),
        "length_is_there": broken("duration_s", "NULL"),
        "clips_are_as_long_as_asked": "UPDATE clip SET end_s = start_s + duration_s + 1",
        "pictures_have_width": broken("width", "0"),
        "pictures_have_height": broken("height", "0"),
        "frame_rate_is_plausible": broken("fps", "90000"),
        "media_is_named_by_content": broken("media_sha256", "'abc'"),
        "media_has_bytes": broken("media_bytes", "0"),
        "sound_is_known": broken("has_audio", "NULL"),
    },
    "probe": {
        "duration_is_there": broken("duration_s", "NULL"),
        "duration_is_positive": broken("duration_s", "0"),
        "frames_are_there": broken("n_frames", "0"),
        "frame_rate_is_plausible": broken("fps", "0"),
        "sound_is_known": broken("has_audio", "NULL"),
        "sound_has_a_codec": broken("has_audio", "NOT has_audio"),
        "sample_rate_is_plausible": broken("rate_hz", "0"),
        "channels_are_plausible": broken("channels", "0"),
        "silence_is_a_ratio": broken("silence_ratio", "1.01"),
        "stillness_is_a_ratio": broken("stillness", "-0.01"),
        "stillness_is_there": "UPDATE probe SET stillness = 'nan'::double",
        "blackness_is_a_ratio": broken("black_ratio", "100"),
        "blackness_is_there": "UPDATE probe SET black_ratio = NULL",
        "loudness_is_plausible": broken("loudness_lufs", "65"),
        "peak_is_plausible": broken("peak_dbfs", "32767"),
    },
    "visual": {
        "layers_are_there": broken("v3", "NULL"),
        "layers_are_not_empty": broken("motion", "[]"),
        "layers_have_one_width": broken("v0", "[1.0]"),
        "features_are_finite": broken("v4", "list_transform(v4, lambda x: 'nan'::float)"),
    },
    "audio": {
        "layers_are_there": broken("a3", "NULL"),
        "layers_are_not_empty": broken("onset", "[]"),
        "layers_have_one_width": broken("a0", "[1.0]"),
        "features_are_finite": broken("onset", "['inf'::float]"),
    },
    "correspond": {
        "score_is_there": broken("score", "NULL"),
        "z_is_there": broken("z", "NULL"),
        "scores_are_finite": broken("z", "'inf'::double"),
        "the_null_has_width": broken("null_std", "0"),
        "z_is_the_score_against_the_null": broken("z", "z + 0.1"),
        "a_video_is_scored_by_one_fold": broken("fold", "fold + 1"),
        "one_model": broken("model", "'another'"),
        "model_is_named": broken("model", "NULL"),
    },
}

RELEASE = {
    "fct_clips": {
        "sample_id_is_there": spoilt("fct_clips", "sample_id", "NULL"),
        "sample_id_is_unique": "INSERT INTO fct_clips (SELECT * FROM fct_clips LIMIT 1)",
        "sample_id_has_its_form": spoilt("fct_clips", "sample_id", "upper(sample_id) || 'X'"),
        "video_is_there": spoilt("fct_clips", "video_id", "NULL"),
        "status_is_known": spoilt("fct_clips", "status", "'liked'"),
        "status_is_there": spoilt("fct_clips", "status", "NULL"),
        "dropped_clips_name_their_rule": spoilt("fct_clips", "first_failed_rule", "NULL", "status = 'dropped'"),
        "kept_clips_have_a_split": spoilt("fct_clips", "split", "NULL", "status = 'kept'"),
        "split_is_known": spoilt("fct_clips", "split", "'training'", "status = 'kept'"),
        "kept_clips_have_a_score": spoilt("fct_clips", "z", "NULL", "status = 'kept'"),
        "length_is_positive": spoilt("fct_clips", "end_ms", "start_ms"),
        "z_is_plausible": spoilt("fct_clips", "z", "1e6"),
        "silence_is_a_ratio": spoilt("fct_clips", "silence_ratio", "1.5"),
        "stillness_is_a_ratio": spoilt("fct_clips", "stillness", "-1"),
        "blackness_is_a_ratio": spoilt("fct_clips", "black_ratio", "2"),
    },
    "splits": {
        "something_is_published": "DELETE FROM splits",
        "sample_id_is_unique": "INSERT INTO splits (SELECT * FROM splits LIMIT 1)",
        "sample_id_is_there": spoilt("splits", "sample_id", "NULL"),
        "split_is_there": spoilt("splits", "split", "NULL"),
        "split_is_known": spoilt("splits", "split", "'training'"),
        "group_is_there": spoilt("splits", "group_id", "NULL"),
    },
    "leaks": {
        "nothing_stands_in_two_splits": """UPDATE splits SET split = if(split = 'train', 'test', 'train')
            WHERE sample_id = (SELECT min(sample_id) FROM splits WHERE video_id IN
                (SELECT video_id FROM splits GROUP BY 1 HAVING count(*) > 1))"""
    },
    "moved": {
        "no_clip_changes_split": spoilt("ops.rpt_changes", "change", "'moved', split_before = 'val'")
    },
    "passed": {"kept_clips_pass_every_threshold": spoilt("fct_clips", "z", "1.5", "status = 'kept'")},
    "thresholds": {
        "thresholds_are_there": "DELETE FROM thresholds",
        "rule_is_unique": spoilt("thresholds", "rule", "'silent'"),
        "value_is_there": spoilt("thresholds", "value", "NULL"),
        "comparison_is_known": spoilt("thresholds", "op", "'=<'"),
        "reason_is_there": spoilt("thresholds", "reason", "NULL"),
        "source_is_there": spoilt("thresholds", "source", "NULL"),
    },
    "unlisted": {"every_rule_is_published": spoilt("fct_clips", "first_failed_rule", "'mood'", "status = 'dropped'")},
    "fct_candidates": {
        "candidate_is_there": spoilt("fct_candidates", "candidate_id", "NULL"),
        "candidate_is_unique": "INSERT INTO fct_candidates (SELECT * FROM fct_candidates LIMIT 1)",
        "status_is_known": spoilt("fct_candidates", "status", "'lost'"),
        "what_gave_no_clip_says_why": spoilt("fct_candidates", "reason", "NULL", "status = 'failed'"),
    },
    "fct_outcomes": {
        "end_is_unique": "INSERT INTO fct_outcomes (SELECT * FROM fct_outcomes LIMIT 1)",
        "status_is_known": spoilt("fct_outcomes", "status", "'lost'"),
        "what_was_not_kept_says_why": spoilt("fct_outcomes", "reason", "NULL", "status = 'dropped'"),
    },
    "dim_videos": {
        "video_is_unique": "INSERT INTO dim_videos (SELECT * FROM dim_videos LIMIT 1)",
        "video_is_there": spoilt("dim_videos", "video_id", "NULL"),
        "no_more_kept_than_cut": spoilt("dim_videos", "clips_kept", "clips + 1"),
        "split_is_known": spoilt("dim_videos", "split", "'training'"),
    },
    "rpt_statistics": {
        "clips_times_mean_is_hours": spoilt("rpt_statistics", "mean_duration_s", "mean_duration_s * 1.01"),
        "clip_hours_are_their_milliseconds": spoilt("rpt_statistics", "clip_hours", "clip_hours + 0.001"),
        "unique_hours_are_their_milliseconds": spoilt("rpt_statistics", "unique_hours", "unique_hours + 0.001"),
        "no_more_videos_than_clips": spoilt("rpt_statistics", "videos", "clips + 1"),
        "no_more_unique_than_clip_hours": spoilt("rpt_statistics", "unique_ms", "clip_ms + 1"),
        "parts_are_not_empty": spoilt("rpt_statistics", "clips", "0"),
        "scope_is_known": spoilt("rpt_statistics", "scope", "'some'"),
    },
    "totals": {"sums_agree": spoilt("rpt_statistics", "clips", "clips + 1", "scope = 'split'")},
    "rpt_funnel": {
        "nothing_is_unexplained": spoilt("rpt_funnel", "unexplained", "1"),
        "steps_join": spoilt("rpt_funnel", "passed", "passed + 1"),
        "counts_are_counts": spoilt("rpt_funnel", "failed", "-1"),
        "unexplained_is_there": spoilt("rpt_funnel", "unexplained", "NULL"),
    },
    "rpt_scores": {
        "the_threshold_is_in_it": spoilt("rpt_scores", "threshold", "NULL"),
        "bins_are_not_empty": spoilt("rpt_scores", "clips", "0"),
    },
}  # fmt: skip

PLANTS = {"batch": BATCH, "release": RELEASE}
SUITES = {(b, s.table): s for b in BOUNDARIES for s in load_suites(Settings().dbt_dir, b)}
RULES = [(boundary, name, rule.name) for (boundary, name), suite in SUITES.items() for rule in suite.rules]
#: One statement of `totals` each: a sum that two tables must agree on, and what breaks it.
SUMS = {
    "statistics, clips: splits": spoilt("rpt_statistics", "clips", "clips + 1", "scope = 'split'"),
    "statistics, videos: splits": spoilt("rpt_statistics", "videos", "videos + 1", "scope = 'split'"),
    "statistics, clip_ms: splits": spoilt("rpt_statistics", "clip_ms", "clip_ms + 1", "scope = 'split'"),
    "statistics, unique_ms: splits": spoilt("rpt_statistics", "unique_ms", "unique_ms + 1", "scope = 'split'"),
    "statistics, clips: labels": spoilt("rpt_statistics", "clips", "clips + 1", "scope = 'label'"),
    "statistics, clip_ms: labels": spoilt("rpt_statistics", "clip_ms", "clip_ms + 1", "scope = 'label'"),
    "statistics, clips: as many": "DELETE FROM splits WHERE rowid = 0",
    "statistics, clip_ms: the sum": spoilt("fct_clips", "end_ms", "end_ms + 1", "status = 'kept'"),
    "statistics, videos: as many": spoilt("dim_videos", "clips_kept", "0", "clips_kept > 0"),
    "splits: as many": spoilt("fct_clips", "status", "'dropped'", "status = 'kept'"),
    "dim_videos: its clips": spoilt("dim_videos", "clips", "clips + 1"),
    "funnel: what it releases": spoilt("rpt_funnel", "passed", "passed + 1", "step = 'release'"),
    "funnel: what comes in": spoilt("rpt_funnel", "items_in", "items_in + 1", "step = 'ingest'"),
    "reasons: they count": spoilt("rpt_reasons", "items", "items + 1"),
    "scores: every clip": spoilt("rpt_scores", "clips", "clips + 1", "measure = 'z'"),
}


@lru_cache(maxsize=1)
def stage_tables() -> dict[str, pa.Table]:
    rows = synthetic.rows(synthetic.candidates(0))
    return {
        stage: pa.Table.from_pylist([{n: row.get(n) for n in schema.names} for row in rows[stage]], schema=schema)
        for stage, schema in ((s, table.arrow_schema(c)) for s, c in warehouse.stage_columns().items())
    }


@pytest.fixture
def batch_tables() -> duckdb.DuckDBPyConnection:
    """One good batch as tables that a test may spoil."""
    con = duckdb.connect()
    shards = []
    for stage, rows in stage_tables().items():
        con.register("good", rows)
        # Lists of any length, as DuckDB reads them from Parquet.
        con.execute(f"CREATE TABLE \"{stage}\" AS SELECT *, '00000-aaaaaaaa' AS shard FROM good")
        for name, kind in con.execute(
            f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{stage}'"
        ).fetchall():
            if kind.endswith("]") and not kind.endswith("[]"):
                con.execute(f'ALTER TABLE "{stage}" ALTER {name} TYPE FLOAT[]')
        ok = sum(o == "ok" for o in rows["outcome"].to_pylist())
        counts = {"rows": len(rows), "ok": ok, "failed": len(rows) - ok}
        shards.append({"stage": stage, "shard": "00000-aaaaaaaa", "committed": True, "digest_holds": True, **counts,
                       **{f"table_{k}": v for k, v in counts.items()}})  # fmt: skip
    con.register("listed", pa.Table.from_pylist(shards))
    con.execute("CREATE TABLE shards AS SELECT *, NULL::VARCHAR AS misfit_columns FROM listed")
    add_accounts(con, warehouse.stage_columns())
    yield con
    con.close()


@pytest.fixture
def release_tables(tmp_path) -> duckdb.DuckDBPyConnection:
    """A copy of a published snapshot that a test may spoil."""
    lake, _, release = synthetic.published()
    path = tmp_path / "winnow.duckdb"
    shutil.copyfile(lake.full(f"releases/{release}/winnow.duckdb"), path)
    con = duckdb.connect(str(path))
    con.execute("SET VARIABLE policy = 'hash'")
    yield con
    con.close()


def check(con: duckdb.DuckDBPyConnection, suite: Suite):
    """The suite's results by rule."""
    reasons = [r.value for r in Reason] + fetch_rules(Settings())
    found = validate(suite, con.sql(suite.frame).df(), {"reasons": reasons, "splits": split_names(Settings())})
    return {rule.name: rule for rule in found.rules}


def stage_suite(suite: Suite, stage: str = "clip") -> Suite:
    return suite.for_stage(stage) if suite.each_stage else suite


@pytest.mark.parametrize(("boundary", "name"), SUITES, ids=["/".join(at) for at in SUITES])
def test_good_tables_pass(boundary, name, request):
    con = request.getfixturevalue(f"{boundary}_tables")
    suite = SUITES[boundary, name]
    for stage in stage_tables() if suite.each_stage else ["clip"]:
        found = check(con, stage_suite(suite, stage))
        assert [rule.name for rule in found.values() if not rule.passed] == []


@pytest.mark.parametrize(("boundary", "name", "rule"), RULES, ids=["/".join(at) for at in RULES])
def test_every_rule_can_fail(boundary, name, rule, request):
    plant = PLANTS[boundary].get(name, {}).get(rule)
    assert plant, f"no planted table breaks {boundary}/{name}/{rule}: add one, or the rule may never fail"
    con = request.getfixturevalue(f"{boundary}_tables")
    suite = stage_suite(SUITES[boundary, name])
    con.execute(plant.replace("{t}", '"fetch"' if suite.table == "fetch" else suite.table))
    found = check(con, suite)[rule]
    assert not found.passed
    assert found.error is None
    assert found.failed >= 1
    whole_table = found.expectation in (
        "expect_table_row_count_to_be_between",
        "expect_column_unique_value_count_to_be_between",
    )
    assert whole_table or found.examples, "a rule about rows names them"


@pytest.mark.parametrize("statement", SUMS)
def test_every_sum_is_checked(statement, release_tables):
    release_tables.execute(SUMS[statement])
    found = check(release_tables, SUITES["release", "totals"])["sums_agree"]
    assert any(row["statement"].startswith(statement) for row in found.examples)


def test_every_sum_has_a_plant(release_tables):
    stated = release_tables.sql(SUITES["release", "totals"].frame).df()["statement"].tolist()
    assert [s for s in stated if not any(s.startswith(planted) for planted in SUMS)] == []


def test_plants_are_all_of_rules_that_are_there():
    stale = {(b, n, r) for b, tables in PLANTS.items() for n, rules in tables.items() for r in rules} - set(RULES)
    assert stale == set()


def test_quota_may_move_a_clip(release_tables):
    release_tables.execute(RELEASE["moved"]["no_clip_changes_split"])
    release_tables.execute("SET VARIABLE policy = 'quota'")
    assert check(release_tables, SUITES["release", "moved"])["no_clip_changes_split"].passed


def test_two_shards_may_hold_one_clip(batch_tables):
    batch_tables.execute(
        "INSERT INTO clip (SELECT * REPLACE ('00001-bbbbbbbb' AS shard) FROM clip WHERE outcome = 'ok' LIMIT 1)"
    )
    assert all(rule.passed for rule in check(batch_tables, stage_suite(SUITES["batch", "{stage}"])).values())
