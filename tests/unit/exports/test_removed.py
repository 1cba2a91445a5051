"""The ids that were removed, as CSV by step and reason: complete, in a fixed order, and readable without us."""

from __future__ import annotations

import csv
from pathlib import Path

import duckdb
import pytest
import yaml

from winnow import exports
from winnow.core.errors import ContractError

CONTRACT = Path(__file__).resolve().parents[3] / "dbt" / "models" / "marts" / "fct_removed.yml"


def row(candidate: str, step: str, reason: str, **values: object) -> dict[str, object]:
    keys = {"batch": "b", "candidate_id": candidate, "sample_id": "", "step": step, "reason": reason}
    return {**keys, "kind": "rule", "is_first": True, **values}


ROWS = [
    row(
        "c1",
        "release",
        "low",
        sample_id="s2",
        source_id='vid, "two"',
        start_s=10.0,
        end_s=20.0,
        measure="z",
        measured=0.125,
        op="<",
        threshold=1.645,
        unit="sigma",
        score=0.0125,
        scorer="builtin",
        model="abc",
    ),
    row("c1", "release", "silent", sample_id="s2", source_id='vid, "two"', start_s=10.0, is_first=False),
    row("c0", "release", "low", sample_id="s1", source_id="aaa", start_s=30.0),
    row("c0", "release", "low", sample_id="s0", source_id="aaa", start_s=5.0),
    row("c9", "fetch", "gone", kind="failure", detail="404\nnot there"),
]


def table_of(folder: Path, rows: list[dict[str, object]]) -> Path:
    """The table fct_removed in a new folder."""
    folder.mkdir()
    (model,) = yaml.safe_load(CONTRACT.read_text())["models"]
    columns = ", ".join(f"{c['name']} {c['data_type']}" for c in model["columns"])
    with duckdb.connect() as con:
        con.execute(f"create table t ({columns})")
        for one in rows:
            con.execute(f"insert into t ({', '.join(one)}) values ({', '.join('?' * len(one))})", list(one.values()))
        con.execute(f"copy t to '{folder / 'fct_removed.parquet'}'")
    return folder


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    return table_of(tmp_path / "tables", ROWS)


def test_each_reason_has_its_file_and_every_row_stands_in_one(tables, tmp_path):
    out = tmp_path / "out"
    written = exports.write("removed", tables, out)
    assert written == {"fetch/gone.csv": 1, "release/low.csv": 3, "release/silent.csv": 1}
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.csv")) == sorted(written)
    with (out / "release/low.csv").open(newline="") as file:
        low = list(csv.DictReader(file))
    assert [one["sample_id"] for one in low] == ["s0", "s1", "s2"]
    last = low[-1]
    assert (last["source_id"], last["measured"], last["op"], last["threshold"]) == ('vid, "two"', "0.125", "<", "1.645")
    assert (last["score"], last["scorer"], last["model"], last["is_first"]) == ("0.0125", "builtin", "abc", "1")
    with (out / "release/silent.csv").open(newline="") as file:
        assert [one["is_first"] for one in csv.DictReader(file)] == ["0"]
    with (out / "fetch/gone.csv").open(newline="") as file:
        assert [one["detail"] for one in csv.DictReader(file)] == ["404\nnot there"]


@pytest.mark.parametrize("name", ["../../evil", "too loud", ""])
def test_a_rule_that_cannot_name_a_file_is_refused_and_nothing_is_left_out_without_a_word(tmp_path, name):
    folder = table_of(tmp_path / "tables", [*ROWS, row("c8", "release", name)])
    with pytest.raises(ContractError, match=f"'release', '{name}' cannot name a file"):
        exports.write("removed", folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("*evil*"))


def test_what_a_spreadsheet_would_compute_is_shown_by_it_and_rows_keep_their_order(tmp_path):
    evil = "=HYPERLINK(1)"
    rows = [
        row("c1", "release", "low", source_id=evil, url=evil, detail=evil, op="=", measured=-0.5),
        row("c2", "release", "low", source_id="/", detail="-dQw4w9WgXc"),
    ]
    exports.write("removed", table_of(tmp_path / "tables", rows), tmp_path / "out")
    with (tmp_path / "out/release/low.csv").open(newline="") as file:
        second, first = csv.DictReader(file)
    assert {first[name] for name in ("source_id", "url", "detail")} == {f"'{evil}"}
    assert (first["op"], first["measured"]) == ("=", "-0.5")
    assert (second["source_id"], second["url"], second["detail"]) == ("/", "", "-dQw4w9WgXc")


def test_the_same_table_gives_the_same_bytes_and_none_gives_nothing(tables, tmp_path):
    for name in ("one", "two"):
        exports.write("removed", tables, tmp_path / name)
    for file in (tmp_path / "one").rglob("*.csv"):
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()
    assert exports.write("removed", tmp_path / "none", tmp_path / "three") == {}
    assert not (tmp_path / "three").exists()
