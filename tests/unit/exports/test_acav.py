"""ACAV100M's output.csv: the published sample reads, what is written reads back, and its form is the sample's."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import needs
from winnow.exports import acav, read_acav

#: Written down from the file's description, not from the reader: the form of one line.
LINE = re.compile(r'(shard-\d{6}),([\w-]+_\d{3,}(?:_\d+)?\.mp4),([\w-]{11}|-1),"\[(-?\d[\d.]*), (-?\d[\d.]*)\]"\Z')


def tables_of(folder: Path, rows: list[dict]) -> Path:
    """A release's tables with one row per clip that stood for selection."""
    kinds = {"position": pa.int64(), "start_s": pa.float64(), "end_s": pa.float64(), "is_selected": pa.bool_()}
    names = ("sample_id", "video_id", "source_id", "start_s", "end_s", "position", "is_selected")
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in names])
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "acav_clips.parquet")
    return folder


def clip(number: int, **values: object) -> dict:
    """A selected clip, its position the reverse of its number."""
    start_s = 10.0 * number
    return {
        "sample_id": f"{number:020x}",
        "video_id": f"{number:020x}",
        "source_id": f"AbCd-Efg_{number:02d}",
        "start_s": start_s,
        "end_s": start_s + 10,
        "position": 100 - number,
        "is_selected": True,
        **values,
    }


def lines(out: Path) -> list[str]:
    data = (out / "output.csv").read_bytes()
    assert data.endswith(b"\r\n")
    return data.decode().removesuffix("\r\n").split("\r\n")


def test_the_published_sample_reads() -> None:
    sample = needs.data("acav/output.csv")
    rows = list(read_acav.read(sample))
    assert rows
    assert [row.problem for row in rows] == [None] * len(rows)
    for row, line in zip(rows, sample.read_text().splitlines(), strict=True):
        assert LINE.match(line), line
        assert (row.filename, row.shard) == (line.split(",")[1], line.split(",")[0])
        assert row.filename == f"{row.youtube_id}_{int(row.start_s):03d}.mp4"
        assert row.end_s == row.start_s + 10


def test_the_published_sample_is_written_again_byte_by_byte(tmp_path: Path) -> None:
    sample = needs.data("acav/output.csv")
    rows = [
        clip(i, video_id=f"{i:020x}", source_id=row.youtube_id, start_s=row.start_s, end_s=row.end_s, position=i)
        for i, row in enumerate(read_acav.read(sample))
    ]
    acav.write(tables_of(tmp_path / "tables", rows), tmp_path / "out")
    assert (tmp_path / "out" / "output.csv").read_bytes() == sample.read_bytes()


def test_what_is_written_has_the_samples_form_and_order(tmp_path: Path) -> None:
    rows = [clip(0), clip(1), clip(2, is_selected=False), clip(3, start_s=69.5, end_s=79.5), clip(4, position=200)]
    written = acav.write(tables_of(tmp_path / "tables", rows), tmp_path / "out")
    assert written == {"output.csv": 4, "shard-000000.json": 5}
    assert lines(tmp_path / "out") == [
        'shard-000000,AbCd-Efg_03_069.mp4,AbCd-Efg_03,"[69.5, 79.5]"',
        'shard-000000,AbCd-Efg_01_010.mp4,AbCd-Efg_01,"[10, 20]"',
        'shard-000000,AbCd-Efg_00_000.mp4,AbCd-Efg_00,"[0, 10]"',
        'shard-000000,AbCd-Efg_04_040.mp4,AbCd-Efg_04,"[40, 50]"',
    ]
    assert all(LINE.match(line) for line in lines(tmp_path / "out"))
    listed = json.loads((tmp_path / "out" / "shard-000000.json").read_text())
    assert listed[2] == {"filename": "AbCd-Efg_02_020.mp4", "id": "AbCd-Efg_02", "segment": [20, 30]}


def test_what_is_not_known_is_minus_one(tmp_path: Path) -> None:
    rows = [clip(0, source_id=None), clip(1, start_s=None, end_s=None)]
    acav.write(tables_of(tmp_path / "tables", rows), tmp_path / "out")
    assert lines(tmp_path / "out") == [
        'shard-000000,AbCd-Efg_01_000.mp4,-1,"[-1.0, -1.0]"',
        'shard-000000,00000000000000000000_000.mp4,-1,"[-1.0, -1.0]"',
    ]
    back = list(read_acav.read(tmp_path / "out" / "output.csv"))
    assert [(row.youtube_id, row.start_s, row.end_s, row.problem) for row in back] == [(None, None, None, None)] * 2


def test_an_independent_reader_gets_back_what_was_selected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the csv module or the house's reader; several shards, and clips that begin within one second."""
    monkeypatch.setattr(acav, "SHARD_CLIPS", 7)
    rows = [clip(i, is_selected=i % 3 == 0) for i in range(20)]
    rows += [clip(30 + i, source_id="AbCd-Efg_99", video_id="v", start_s=5 + i / 4, end_s=15 + i / 4) for i in range(3)]
    written = acav.write(tables_of(tmp_path / "tables", rows), tmp_path / "out")
    assert [written[f"shard-{i:06d}.json"] for i in range(4)] == [7, 7, 7, 2]
    found = {}
    for line in lines(tmp_path / "out"):
        shard, file, video, segment = line.split(",", 3)
        assert LINE.match(line)
        members = json.loads((tmp_path / "out" / f"{shard}.json").read_text())
        times = ast.literal_eval(ast.literal_eval(segment))
        assert {"filename": file, "id": video, "segment": times} in members
        assert file not in found
        found[file] = (video, tuple(times))
    chosen = [row for row in rows if row["is_selected"]]
    assert sorted(found.values()) == sorted((r["source_id"], (r["start_s"], r["end_s"])) for r in chosen)
    assert {"AbCd-Efg_99_005.mp4", "AbCd-Efg_99_005_250.mp4", "AbCd-Efg_99_005_500.mp4"} < set(found)
    assert [
        tuple(r)[2:4]
        for r in (
            (x.number, x.shard, x.filename, x.youtube_id) for x in read_acav.read(tmp_path / "out" / "output.csv")
        )
    ] == [(f, v) for f, (v, _) in found.items()]


def test_the_same_tables_give_the_same_bytes_and_none_gives_nothing(tmp_path: Path) -> None:
    rows = [clip(i) for i in range(5)]
    for name, order in (("one", rows), ("two", rows[::-1])):
        acav.write(tables_of(tmp_path / name / "tables", order), tmp_path / name / "out")
    files = [{p.name: p.read_bytes() for p in (tmp_path / name / "out").iterdir()} for name in ("one", "two")]
    assert files[0] == files[1]
    assert acav.write(tables_of(tmp_path / "none", []), tmp_path / "out") == {}
    assert acav.write(tmp_path / "nowhere", tmp_path / "out") == {}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("shard-000000,a.mp4,a", "3 fields"),
        ('../x,a.mp4,a,"[1, 2]"', "a shard's and a file's name"),
        ('shard-000000,../a.mp4,a,"[1, 2]"', "a shard's and a file's name"),
        ('shard-000000,a.mp4,a,"[1]"', "no segment"),
        ('shard-000000,a.mp4,a,"__import__(1)"', "no segment"),
        ('shard-000000,a.mp4,a,"[NaN, 2]"', "begins at 0"),
        ('shard-000000,a.mp4,a,"[9, 2]"', "begins at 0"),
        ("x" * 10_000, "fields"),
    ],
)
def test_a_row_that_cannot_be_read_is_a_row_with_its_problem(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "output.csv"
    path.write_text(f'{line}\nshard-000001,b_010.mp4,b,"[10, 20]"\n')
    *bad, good = read_acav.read(path)
    assert (good.filename, good.start_s, good.problem) == ("b_010.mp4", 10.0, None)
    assert len(bad) == 1
    assert problem in bad[0].problem
