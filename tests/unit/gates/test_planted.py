"""Every rule of every suite can fail: each one meets a planted table that breaks it.

The tests are made from the suite files. A rule without a plant in `tests.unit.planted` fails, so a rule that nobody
has ever seen fail cannot be added.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

import duckdb
import pyarrow as pa
import pytest

from tests.unit import synthetic
from tests.unit.planted import BATCH, MIXTURES, RELEASE, SUMS
from winnow.core import table
from winnow.core.sample import Reason
from winnow.core.settings import Settings
from winnow.core.stage import stage_columns
from winnow.gates.batch import fetch_rules
from winnow.gates.release import split_names
from winnow.gates.results import RuleResult
from winnow.gates.suites import BOUNDARIES, Suite, load_suites
from winnow.gates.tables import add_accounts, without_half
from winnow.gates.validate import validate

PLANTS = {"batch": BATCH, "release": RELEASE}
SUITES = {(b, s.table): s for b in BOUNDARIES for s in load_suites(Settings().dbt_dir, b)}
RULES = [(boundary, name, rule.name) for (boundary, name), suite in SUITES.items() for rule in suite.rules]


@lru_cache(maxsize=1)
def stage_tables() -> dict[str, pa.Table]:
    rows = synthetic.rows(synthetic.candidates(0)) | MIXTURES
    return {
        stage: pa.Table.from_pylist([{n: row.get(n) for n in schema.names} for row in rows[stage]], schema=schema)
        for stage, schema in ((s, table.arrow_schema(c)) for s, c in stage_columns().items())
    }


@pytest.fixture(scope="module")
def good_batch() -> Iterator[duckdb.DuckDBPyConnection]:
    """One good batch as tables."""
    con = duckdb.connect()
    shards = []
    for stage, rows in stage_tables().items():
        con.register("good", rows.cast(without_half(rows.schema)))
        # Lists of any length, as DuckDB reads them from Parquet.
        con.execute(f"CREATE TABLE \"{stage}\" AS SELECT *, '00000-aaaaaaaa' AS shard FROM good")
        for name, kind in con.execute(
            f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{stage}'"
        ).fetchall():
            if kind.endswith("]") and not kind.endswith("[]"):
                con.execute(f'ALTER TABLE "{stage}" ALTER {name} TYPE FLOAT[]')
        ok = sum(o == "ok" for o in rows["outcome"].to_pylist())
        counts = {"rows": len(rows), "ok": ok, "failed": len(rows) - ok}
        shards.append(
            {
                "stage": stage,
                "shard": "00000-aaaaaaaa",
                "committed": True,
                "digest_holds": True,
                **counts,
                **{f"table_{k}": v for k, v in counts.items()},
            }
        )
    con.register("listed", pa.Table.from_pylist(shards))
    con.execute("CREATE TABLE shards AS SELECT *, NULL::VARCHAR AS misfit_columns FROM listed")
    add_accounts(con, stage_columns())
    yield con
    con.close()


@pytest.fixture(scope="module")
def good_release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy of a published snapshot."""
    lake, _, release = synthetic.published()
    path = tmp_path_factory.mktemp("release") / "winnow.duckdb"
    shutil.copyfile(lake.full(f"releases/{release}/winnow.duckdb"), path)
    con = duckdb.connect(str(path))
    yield con
    con.close()


@contextmanager
def spoilable(con: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """What happens to the tables within is taken back."""
    con.execute("SET VARIABLE policy = 'hash'")
    con.execute("BEGIN")
    try:
        yield con
    finally:
        con.execute("ROLLBACK")


@pytest.fixture
def batch_tables(good_batch: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """One good batch as tables that a test may spoil."""
    with spoilable(good_batch) as con:
        yield con


@pytest.fixture
def release_tables(good_release: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A published snapshot that a test may spoil."""
    with spoilable(good_release) as con:
        yield con


def check(con: duckdb.DuckDBPyConnection, suite: Suite, *only: str) -> dict[str, RuleResult]:
    """The results by rule: of the whole suite, or of some of its rules."""
    reasons = [r.value for r in Reason] + fetch_rules(Settings())
    asked = replace(suite, rules=tuple(rule for rule in suite.rules if not only or rule.name in only))
    found = validate(asked, con.sql(suite.frame).df(), {"reasons": reasons, "splits": split_names(Settings())})
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
    found = check(con, suite, rule)[rule]
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
    found = check(release_tables, SUITES["release", "totals"], "sums_agree")["sums_agree"]
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
    assert check(release_tables, SUITES["release", "moved"], "no_clip_changes_split")["no_clip_changes_split"].passed


def test_two_shards_may_hold_one_clip(batch_tables):
    batch_tables.execute(
        "INSERT INTO clip (SELECT * REPLACE ('00001-bbbbbbbb' AS shard) FROM clip WHERE outcome = 'ok' LIMIT 1)"
    )
    assert all(rule.passed for rule in check(batch_tables, stage_suite(SUITES["batch", "{stage}"])).values())
