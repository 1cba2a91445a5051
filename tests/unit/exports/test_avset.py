"""AVSET-10M's files: the published rows come out as they are published, and what is written is read back."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import needs
from winnow.annotations.ontology import read_ontology
from winnow.exports import avset, families
from winnow.exports.read_avset import FLAG, KEYS, PSEUDO, SCHEMA, PseudoLabel, parts, read

FIRST_PART, FIRST_SPLIT = "AVSET-700K/unbalanced_train_segments_part00", "AVSET-10M(excluding-700K)/split_000"
SAID = pa.list_(pa.struct([("mid", pa.string()), ("name", pa.string()), ("score", pa.float64())]))
COLUMNS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("subset", pa.string()),
        ("part", pa.int64()),
        ("video", pa.string()),
        ("start_ms", pa.int64()),
        ("end_ms", pa.int64()),
        ("label", pa.string()),
        ("avc", pa.float64()),
        ("flag", pa.int64()),
        ("pseudo_label", SAID),
    ]
)


def clip(number: int = 0, **values: object) -> dict[str, object]:
    return {
        "sample_id": f"{number:020x}",
        "subset": "labelled",
        "part": 0,
        "video": f"{number:011d}",
        "start_ms": 30_000,
        "end_ms": 40_000,
        "label": "/m/09x0r",
        "avc": 0.25,
        "flag": 0,
        "pseudo_label": [],
    } | values


def write(folder: Path, *clips: dict[str, object]) -> dict[str, int]:
    """The files of a table of clips, under `folder`/out."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(clips), schema=COLUMNS), folder / "tables" / "avset_clips.parquet")
    return avset.write(folder / "tables", folder / "out")


def texts(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_published_rows_come_out_as_they_are_published(tmp_path: Path) -> None:
    with needs.data("avset/published_rows.csv").open(newline="") as file:
        rows = [
            {key: int(value) if key == FLAG else value for key, value in row.items()} for row in csv.DictReader(file)
        ]
    assert len(rows) == 16
    milliseconds = [[int(row[key].replace(".", "")) for key in KEYS[4:]] for row in rows]
    clips = [
        clip(n, video=row[KEYS[2]], label=row[KEYS[0]], flag=row[FLAG], avc=float(row["AVC"]), start_ms=a, end_ms=b)
        for n, (row, (a, b)) in enumerate(zip(rows, milliseconds, strict=True))
    ]
    assert write(tmp_path, *reversed(clips)) == {
        f"{FIRST_PART}.json": 16,
        f"{FIRST_PART}.parquet": 16,
        "schema.json": 1,
        "README.md": 1,
    }
    found = texts(tmp_path / "out" / f"{FIRST_PART}.json")
    assert found == rows
    assert [list(row) for row in found] == [list(row) for row in rows]
    assert [[type(value) for value in row.values()] for row in found] == [[str, int, str, str, str, str]] * 16
    assert pq.read_table(tmp_path / "out" / f"{FIRST_PART}.parquet").to_pylist() == rows
    read_back = list(read(tmp_path / "out" / f"{FIRST_PART}.json"))
    assert [row.raw for row in read_back] == rows
    assert [(row.start_s, row.end_s, row.avc) for row in read_back] == [
        (a / 1000, b / 1000, float(row["AVC"])) for row, (a, b) in zip(rows, milliseconds, strict=True)
    ]


def test_parts_subsets_and_their_order(tmp_path: Path) -> None:
    said = [{"mid": "/m/09x0r", "name": "Speech", "score": 0.75}, {"mid": "/t/x", "name": None, "score": 0.5}]
    clips = [
        clip(1, video="bbbbbbbbbbb", part=40),
        clip(2, video="Bbbbbbbbbbb", part=40, start_ms=5_250, end_ms=7_000),
        clip(3, video="Bbbbbbbbbbb", part=40, start_ms=5, end_ms=6),
        clip(4, part=100, video="https://a.example/v.mp4"),
        clip(5, subset="captioned", part=7, label="A dog’s bowl,\nred", flag=1, avc=None, pseudo_label=said),
        clip(6, subset="captioned", part=399, pseudo_label=None),
    ]
    names = [
        "AVSET-700K/unbalanced_train_segments_part40",
        "AVSET-700K/unbalanced_train_segments_part100",
        "AVSET-10M(excluding-700K)/split_007",
        "AVSET-10M(excluding-700K)/split_399",
    ]
    written = write(tmp_path, *clips)
    assert written == {
        "schema.json": 1,
        "README.md": 1,
        **{f"{n}.{e}": c for n, c in zip(names, (3, 1, 1, 1), strict=True) for e in ("json", "parquet")},
    }
    first = texts(tmp_path / "out" / f"{names[0]}.json")
    assert [(r["Youtube ID"], r["Start Time"]) for r in first] == [
        ("Bbbbbbbbbbb", "0.005"),
        ("Bbbbbbbbbbb", "5.250"),
        ("bbbbbbbbbbb", "30.000"),
    ]
    assert PSEUDO not in first[0]
    (row,) = texts(tmp_path / "out" / f"{names[2]}.json")
    assert list(row) == [*KEYS, PSEUDO]
    assert (row["Label"], row["AVC"], row[FLAG], row[PSEUDO]) == ("A dog’s bowl,\nred", "", 1, said)
    (back,) = read(tmp_path / "out" / f"{names[2]}.json")
    assert back.pseudo_label == (PseudoLabel("/m/09x0r", "Speech", 0.75), PseudoLabel("/t/x", None, 0.5))
    assert back.avc is None
    assert texts(tmp_path / "out" / f"{names[3]}.json")[0][PSEUDO] == []
    assert len(parts(tmp_path / "out")) == 4
    for name in names:
        table = pq.read_table(tmp_path / "out" / f"{name}.parquet")
        assert table.to_pylist() == texts(tmp_path / "out" / f"{name}.json")
        assert table.schema.metadata[b"schema"] == SCHEMA.encode()


def test_equal_tables_give_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avset, "BLOCK", 7)
    clips = [clip(n, subset=("labelled", "captioned")[n % 2], part=n % 3) for n in range(50)]
    for name, given_order in (("a", clips), ("b", clips[::-1])):
        write(tmp_path / name, *given_order)
    files = [{p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n / "out").rglob("*.*")} for n in "ab"]
    assert files[0] == files[1]
    assert len(files[0]) == 14
    assert sum(len(texts(p)) for p in parts(tmp_path / "a")) == 50


@settings(max_examples=100, deadline=None)
@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 10**10 - 1), st.integers(1, 10**6))
def test_any_values_are_read_back(tmp_path_factory, label: str, avc: float, start_ms: int, length_ms: int) -> None:
    label = label.encode("utf-8", "replace").decode()
    row = avset.published(("captioned", 0, label, 1, "x" * 11, avc, start_ms, start_ms + length_ms, None), "captioned")
    path = tmp_path_factory.getbasetemp() / "split_000.json"
    path.write_text(json.dumps([row]))
    (back,) = read(path)
    assert back.problem is None
    assert (back.label, back.avc) == (label, avc)
    assert (round(back.start_s * 1000), round(back.end_s * 1000)) == (start_ms, start_ms + length_ms)


def test_the_reader_takes_arrays_and_lines_and_refuses_row_by_row(tmp_path: Path) -> None:
    good = dict(zip(KEYS, ("/m/09x0r", 0, "---2_BBVHAA", "0.298", "30.000", "40.000"), strict=True))
    bad = [
        {**good, FLAG: True},
        {**good, FLAG: "0"},
        {**good, "AVC": 0.3},
        {**good, "AVC": "nan"},
        {**good, "AVC": "x"},
        {**good, "Start Time": "40.000"},
        {**good, "End Time": "-1"},
        {**good, "Youtube ID": ""},
        {"Label": ""},
        3,
        {**good, "Label": None},
        {**good, "AVC": "1_0"},
        {**good, "AVC": " 0.3"},
        {**good, "AVC": "1e999"},
        {**good, "AVC": "٣"},
    ]
    array, lines = tmp_path / "a.json", tmp_path / "b.json"
    array.write_text(json.dumps([good, *bad, good]))
    lines.write_text("\n".join(map(json.dumps, [good, *bad, good])) + "\n")
    for path in (array, lines):
        found = list(read(path))
        assert [row.number for row in found] == list(range(17))
        assert [row.problem is None for row in found] == [True, *[False] * 15, True]
    other = {**good, PSEUDO: [["Speech", 0.9]]}
    array.write_text(json.dumps([other]))
    (row,) = read(array)
    assert (row.problem, row.pseudo_label, row.raw) == (None, None, other)
    for text in ("[1, 2", "[" * 100_000, "\udcff", "{}"):
        array.write_bytes(text.encode("utf-8", "surrogateescape"))
        (row,) = read(array)
        assert row.problem


@pytest.mark.parametrize("score", ["1" + "0" * 400, "1e999", "-1e999", "-5", "1.0001", "true", '"0.5"', "NaN", "null"])
def test_a_score_that_schema_json_does_not_allow_is_another_structure(tmp_path: Path, score: str) -> None:
    good = dict(zip(KEYS, ("A dog", 0, "---2_BBVHAA", "0.298", "30.000", "40.000"), strict=True))
    said = f'{{"mid": "/m/0bt9lr", "name": "Dog", "score": {score}}}'
    path = tmp_path / "split_000.json"
    path.write_text(f'[{json.dumps(good)[:-1]}, "{PSEUDO}": [{said}]}}, {json.dumps(good)}]')
    found = list(read(path))
    assert [(row.problem, row.pseudo_label) for row in found] == [(None, None)] * 2
    path.write_text(path.read_text().replace(score, "1"))
    assert next(read(path)).pseudo_label == (PseudoLabel("/m/0bt9lr", "Dog", 1.0),)


def test_the_schema_says_what_is_written(tmp_path: Path) -> None:
    write(tmp_path, clip(subset="captioned"))
    said = texts(tmp_path / "out" / "schema.json")
    assert (said["$id"], said["required"], list(said["properties"])) == (SCHEMA, list(KEYS), [*KEYS, PSEUDO])
    (row,) = texts(tmp_path / "out" / f"{FIRST_SPLIT}.json")
    kinds = {"string": str, "integer": int, "array": list}
    assert {k: type(v) for k, v in row.items()} == {k: kinds[v["type"]] for k, v in said["properties"].items()}


def test_the_ontology_lies_beside_byte_for_byte(tmp_path: Path) -> None:
    ontology = needs.data("audioset/ontology.json")
    (tmp_path / "tables").mkdir()
    rows = [{"position": r.values["position"], "file_text": r.values["json"]} for r in read_ontology(ontology)]
    pq.write_table(pa.Table.from_pylist(rows[::-1]), tmp_path / "tables" / "audioset_ontology.parquet")
    assert write(tmp_path, clip())["ontology.json"] == 632
    assert (tmp_path / "out" / "ontology.json").read_bytes() == ontology.read_bytes()


def test_a_release_without_clips_writes_nothing(tmp_path: Path) -> None:
    assert "avset" in families()
    assert write(tmp_path) == {}
    assert not (tmp_path / "out").exists()
    assert avset.write(tmp_path / "nothing", tmp_path / "out") == {}
    assert math.isfinite(float(avset.published(("labelled", 0, "", 0, "", 0.1 + 0.2, 0, 1, None), "labelled")["AVC"]))
