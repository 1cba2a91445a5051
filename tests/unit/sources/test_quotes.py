"""Quotation marks in delimited text: a stray one costs its own line, and every line that holds a row is counted."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from winnow.sources import csv as reader
from winnow.sources.row import MAX_ROW_BYTES, ListRefused, Row

URL = "https://videos.example/a.mp4"


def rows(folder: Path, text: str, name: str = "a.csv") -> list[Row]:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return list(reader.read(path))


def lines(count: int, broken: dict[int, str]) -> str:
    return "url,title\n" + "".join(broken.get(n, f"{URL}?{n},t{n}") + "\n" for n in range(count))


@pytest.mark.parametrize(
    "stray",
    [{7: f'{URL}?7,"never closed'}, {7: f'"{URL}?7,never closed'}, {7: f'{URL}?7,"a"b'}, {19: f'{URL}?19,"last'}],
)
def test_a_stray_mark_costs_its_own_line(stray: dict[int, str], tmp_path: Path) -> None:
    found = rows(tmp_path, lines(20, stray))
    assert [row.number for row in found if row.values is None] == list(stray)
    assert len(found) == 20


@pytest.mark.parametrize("second", ['t9"', '"t9', 't"9', '"t9"x'])
def test_two_of_them_swallow_nothing_between(second: str, tmp_path: Path) -> None:
    found = rows(tmp_path, lines(12, {3: f'{URL}?3,"open', 9: f"{URL}?9,{second}"}))
    assert len(found) == 12
    assert found[3].problem.startswith("line 5: a quotation mark that is not closed")
    assert [row.values["title"] for row in found[4:9]] == [f"t{n}" for n in range(4, 9)]


def test_many_rows_after_one_mark_are_read(tmp_path: Path) -> None:
    found = rows(tmp_path, lines(20_000, {100: f'{URL}?100,"open'}))
    assert (len(found), sum(row.values is None for row in found)) == (20_000, 1)


@pytest.mark.parametrize("text", ['a\n"b"', "one\n\nthree", "x,y\nz", 'says "hi"\r\nand goes', f"see\n{URL} there"])
@pytest.mark.parametrize("order", [("url", "title", "views"), ("title", "url", "views"), ("views", "title", "url")])
def test_cells_of_several_lines_are_read(text: str, order: tuple[str, ...], tmp_path: Path) -> None:
    made = io.StringIO()
    writer = csv.DictWriter(made, order, lineterminator="\n")
    writer.writeheader()
    wanted = [{"url": f"{URL}?{n}", "title": text if n % 2 else "t", "views": str(n)} for n in range(4)]
    writer.writerows(wanted)
    assert [row.values for row in rows(tmp_path, made.getvalue())] == wanted


def test_a_line_that_is_too_long_is_one_row(tmp_path: Path) -> None:
    found = rows(tmp_path, f"url,title\n{URL},{'x' * (3 * MAX_ROW_BYTES)}\n{URL},next\n")
    assert [row.values is None for row in found] == [True, False]


@pytest.mark.parametrize("length", [131_072 + 1, 300_000])
def test_a_long_first_line_is_read(length: int, tmp_path: Path) -> None:
    assert rows(tmp_path, f"{'x' * length},url\n1,{URL}\n")[0].values["url"] == URL


def test_who_else_reads_csv_in_this_process_keeps_their_limit(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    assert rows(tmp_path, f'url,title\n{URL},"{"x" * 2 * before}"\n')[0].values["title"] == "x" * 2 * before
    assert csv.field_size_limit() == before


def test_a_first_line_longer_than_a_row_refuses_the_list(tmp_path: Path) -> None:
    with pytest.raises(ListRefused, match="its first line cannot be read"):
        rows(tmp_path, "x" * (MAX_ROW_BYTES + 1) + f"\nurl\n{URL}\n")


def test_a_header_swallows_no_rows(tmp_path: Path) -> None:
    with pytest.raises(ListRefused, match="its first line cannot be read"):
        rows(tmp_path, f'url,"title\n{URL},a\n{URL},b"\n{URL},c\n')
    assert rows(tmp_path, f'url,"the\ntitle"\n{URL},a\n')[0].values == {"url": URL, "the\ntitle": "a"}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", list(";,\t|"))
def test_excels_separator_line(mark: str, delimiter: str, tmp_path: Path) -> None:
    found = rows(tmp_path, f"{mark}sep={delimiter}\r\nurl{delimiter}start\r\n{URL}{delimiter}3\r\n")
    assert [row.values for row in found] == [{"url": URL, "start": "3"}]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{URL},3,8\n", {"column 1": URL, "column 2": "3", "column 3": "8"}),
        (f"{URL}/x,y.mp4\n", {"column 1": f"{URL}/x,y.mp4"}),
        ("a1b2c3d4e5f\nZz_-9yX8w7V\n", {"column 1": "a1b2c3d4e5f"}),
        ("description\na1b2c3d4e5f\nZz_-9yX8w7V\n", {"description": "a1b2c3d4e5f"}),
        ("annotations\na1b2c3d4e5f\nZz_-9yX8w7V\n", {"annotations": "a1b2c3d4e5f"}),
    ],
)
def test_the_first_line_is_a_row_where_it_names_a_video(text: str, wanted: dict, tmp_path: Path) -> None:
    assert rows(tmp_path, text)[0].values == wanted
