"""`winnow sql`: answers in three formats, reads the published tables and nothing else."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.unit.published import put
from winnow.core.errors import ConfigError
from winnow.core.lake import Lake, sha256_file
from winnow.release import publish, query


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(tmp_path / "lake")
    put(lake, 1)
    return lake


def test_formats(lake):
    question = (
        "select clip, generation, [clip, 2] as both, null as none, 1.5::decimal(4, 2) as exact from splits limit 2"
    )
    table = query.run(lake, question)
    assert "│ clip" in table
    assert "2 rows" in table or table.count("│") > 10
    rows = list(csv.reader(io.StringIO(query.run(lake, question, "csv"))))
    assert rows == [
        ["clip", "generation", "both", "none", "exact"],
        ["0", "1", "[0, 2]", "", "1.50"],
        ["1", "1", "[1, 2]", "", "1.50"],
    ]
    assert json.loads(query.run(lake, question, "json")) == [
        {"clip": 0, "generation": 1, "both": [0, 2], "none": None, "exact": 1.5},
        {"clip": 1, "generation": 1, "both": [1, 2], "none": None, "exact": 1.5},
    ]
    assert json.loads(query.run(lake, "select 'nan'::double as x", "json")) == [{"x": None}]


def test_what_a_spreadsheet_would_compute_is_shown_in_csv_and_kept_in_json(lake):
    question = "select '=1+1' as title, '-dQw4w9WgXc' as id, -1.5 as z"
    assert query.run(lake, question, "csv").splitlines()[1] == "'=1+1,-dQw4w9WgXc,-1.5"
    assert json.loads(query.run(lake, question, "json"))[0]["title"] == "=1+1"


def test_long_tables_are_shortened_and_csv_is_not(lake):
    assert query.run(lake, "from splits").count("\n") < 250
    assert "2000 rows" in query.run(lake, "from splits").replace(",", "")
    assert query.run(lake, "from splits", "csv").count("\n") == 2001


def test_schema_ops_needs_no_prefix(lake):
    assert json.loads(query.run(lake, "select batch from dim_batches", "json")) == [{"batch": "b1"}]
    assert query.run(lake, "describe ops.fct_shards", "csv").startswith("column_name")
    assert "splits" in query.run(lake, "show tables")


def test_an_earlier_release_by_the_beginning_of_its_id(lake):
    first = publish.current(lake)
    put(lake, 2)
    question = "select distinct generation as g from splits"
    assert json.loads(query.run(lake, question, "json")) == [{"g": 2}]
    assert json.loads(query.run(lake, question, "json", first[:8])) == [{"g": 1}]
    with pytest.raises(ConfigError, match="names no release"):
        query.run(lake, question, "json", "nope")


def test_an_unknown_table_is_answered_with_those_there_are(lake):
    with pytest.raises(ConfigError, match=r"tables: splits, thresholds, ops\.dim_batches, ops\.fct_shards"):
        query.run(lake, "select * from clips")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into splits values (1, 1)",
        "update splits set generation = 2",
        "drop table splits",
        "create table x as select 1",
        "copy splits to 'stolen.csv'",
        "attach 'other.duckdb'",
        "set threads = 1",
        "install httpfs",
        "export database 'x'",
        "explain analyze delete from splits",
    ],
)
def test_writes_are_refused_and_change_nothing(lake, statement, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    snapshot = publish.folder(lake) / "winnow.duckdb"
    before, there = sha256_file(snapshot), sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"never changed|read-only"):
        query.run(lake, statement)
    assert sha256_file(snapshot) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == there


@pytest.mark.parametrize(
    "question",
    [
        "select * from read_csv('{path}')",
        "select * from read_text('{path}')",
        "select * from '{path}'",
        "select * from glob('/*')",
        "select * from read_parquet('https://example.org/x.parquet')",
    ],
)
def test_files_and_networks_are_out_of_reach(lake, tmp_path, question):
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\nhidden,1\n")
    with pytest.raises(ConfigError, match=r"published tables and nothing else|tables:"):
        query.run(lake, question.replace("{path}", str(secret)))


def test_what_is_wrong_is_said(lake):
    with pytest.raises(ConfigError, match="syntax error"):
        query.run(lake, "selec 1")
    with pytest.raises(ConfigError, match="one query at a time"):
        query.run(lake, "select 1; select 2")
    with pytest.raises(ConfigError, match="one query at a time"):
        query.run(lake, " ")
    with pytest.raises(ConfigError, match="there are table, csv, json"):
        query.run(lake, "select 1", "xml")
    with pytest.raises(ConfigError, match="nope"):
        query.run(lake, "select nope from splits")


def test_nothing_published_yet(tmp_path):
    with pytest.raises(ConfigError, match="winnow release"):
        query.run(Lake(tmp_path), "select 1")
