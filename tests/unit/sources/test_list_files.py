"""Files of lists, untrusted: what can be read is read, what cannot is a row that says why."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.sources.candidates import URL, rows, taken
from winnow.sources import csv, jsonl, parquet
from winnow.sources.row import MAX_ROW_BYTES, ListRefused, Row


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_and_byte_order_marks(tmp_path: Path, mark: bytes, delimiter: str) -> None:
    path = tmp_path / "a.csv"
    text = delimiter.join(("id", "url", "title")) + "\r\n" + delimiter.join(("x", URL, "über")) + "\r\n"
    path.write_bytes(mark + text.encode())
    assert rows(path) == [Row(0, {"id": "x", "url": URL, "title": "über"})]


def test_utf16_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"url,title\n{URL},é\n", encoding="utf-16")
    assert rows(path)[0].values == {"url": URL, "title": "é"}


def test_audiosets_header_in_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "eval.csv"
    path.write_text(
        "# Segments csv created Sun Mar  5 10:54:25 2017\n# num_ytids=2, num_segs=2\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        '--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_"\n'
    )
    out = taken(rows(path)[0].values)
    assert out["url"] == "https://www.youtube.com/watch?v=--4gqARaEJE"
    assert (out["start_s"], out["end_s"], out["source_id"]) == (0.0, 10.0, "--4gqARaEJE")
    assert out["labels"] == ["/m/068hy", "/m/07q6cd_"]


def test_quotes_newlines_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'url,title\n{URL},"two\nlines, ""quoted"""\n\n{URL},b\n')
    assert [r.values["title"] for r in rows(path)] == ['two\nlines, "quoted"', "b"]


def test_broken_rows_of_a_csv_spoil_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        f"url,title\n{URL},ok\n{URL},caf".encode() + b"\xe9\n" + f'{URL},a,b\n{URL},"x"y\n{URL},last\n'.encode()
    )
    found = rows(path)
    assert [r.number for r in found] == [0, 1, 2, 3, 4]
    assert [r.values and r.values["title"] for r in found] == ["ok", None, None, None, "last"]
    assert "line 3: not UTF-8" in found[1].problem
    assert "line 4: 3 cells under 2 columns" in found[2].problem
    assert "line 5" in found[3].problem


def test_an_unclosed_quote_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'url,title\n{URL},ok\n{URL},"never closed\n{URL},lost\n')
    found = rows(path)
    assert found[0].values["title"] == "ok"
    assert found[1].problem.startswith("line 3: a quotation mark that is not closed")
    assert found[2].values["title"] == "lost"


def test_short_rows_lack_their_last_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"url,title,uploader\n{URL}\n")
    assert taken(rows(path)[0].values)["uploader"] is None


def test_a_giant_cell_is_refused_and_reading_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"url,title\n{URL},{'x' * (MAX_ROW_BYTES + 10)}\n{URL},next\n")
    found = rows(path)
    assert found[0].problem
    assert found[-1].values["title"] == "next"


def test_an_empty_csv_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\n\n")
    (tmp_path / "b.csv").write_text("url,title\n")
    assert list(csv.read(tmp_path / "a.csv")) == list(csv.read(tmp_path / "b.csv")) == []


def test_json_lines_and_their_flaws(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    deep = "[" * 100_000
    lines = ['\ufeff{"url": "a"}', "", '{"url": ', '["a"]', '{"url": "\\ud800"}', '{"n": NaN, "url": "b"}', deep]
    path.write_bytes("\n".join(lines).encode() + b'\n{"url": "\xff"}\n' + b"9" * 5000 + b"\n")
    found = list(jsonl.read(path))
    assert [r.number for r in found] == list(range(8))
    assert [r.values is not None for r in found] == [True, False, False, True, True, False, False, False]
    assert found[0].values == {"url": "a"}
    assert "line 3, column 8" in found[1].problem
    assert "not list" in found[2].problem
    assert found[4].values == {"n": None, "url": "b"}
    assert "too deeply" in found[5].problem
    assert "not UTF-8" in found[6].problem


def test_a_line_longer_than_a_row_may_be(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"url": "x" * (3 * MAX_ROW_BYTES)}) + '\n{"url": "b"}\n')
    found = list(jsonl.read(path))
    assert [r.number for r in found] == [0, 1]
    assert "longer than" in found[0].problem
    assert found[1].values == {"url": "b"}


def test_parquet_types(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "Video URL": [URL, URL],
            "start": pa.array([1.0, float("nan")]),
            "end": pa.array([2, None], pa.int64()),
            "labels": [["dog", "bark"], None],
            "seen": pa.array([0, 1], pa.timestamp("s")),
            "meta": [{"b": 1, "a": [1.5, float("inf")]}, None],
            "raw": [b"\xff", None],
        }
    )
    pq.write_table(table, path)
    first, second = (taken(r.values) for r in rows(path))
    assert (first["start_s"], first["end_s"], first["labels"]) == (1.0, 2.0, ["dog", "bark"])
    assert first["extra"] == '{"meta":{"a":[1.5,null],"b":1},"raw":"ff","seen":"1970-01-01T00:00:00"}'
    assert (second["start_s"], second["end_s"], second["labels"]) == (None, None, None)


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(ListRefused, match="not readable as Parquet"):
        rows(path)


@pytest.mark.parametrize(
    "task",
    [
        {"id": 1, "sample_id": "aa", "media": "x.mp4", "event": [{"start": 2, "end": 5}], "annotator": 3},
        {"id": 1, "data": {"sample_id": "aa", "media": "x.mp4"}, "annotations": []},
        {"id": 1, "data": {"sample_id": "aa", "media": "x.mp4"}, "completions": []},
    ],
    ids=["json-min", "json", "before-1.0"],
)
def test_answers_about_clips_are_no_list_of_videos(tmp_path: Path, task: dict) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps([task]))
    with pytest.raises(ListRefused, match=r"winnow annotate import export\.json"):
        rows(path)


def test_a_damaged_block_costs_the_rows_from_there_on(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    whole = pa.table({"url": [f"{URL}?{i:06d}" for i in range(20_000)]})
    pq.write_table(whole, path, row_group_size=5_000, compression="none", use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(2).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset : column.data_page_offset + 40] = b"\xff" * 40
    path.write_bytes(data)
    found = list(parquet.read(path))
    assert [r.values is None for r in found] == [False] * (len(found) - 1) + [True]
    assert len(found) >= 5_000
    assert f"from row {len(found) - 1} on" in found[-1].problem
