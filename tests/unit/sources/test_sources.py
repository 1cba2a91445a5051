"""Readers of untrusted lists: what can be read is read, what cannot is a row that says why."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from winnow.core.sample import Reason, SampleFailed
from winnow.sources import csv, jsonl, parquet, source_of, urls
from winnow.sources.candidate import candidate
from winnow.sources.columns import Header
from winnow.sources.row import MAX_ROW_BYTES, ListRefused, Row

URL = "https://videos.example/a.mp4"


def rows(path: Path) -> list[Row]:
    return list(source_of(path).read(path))


def taken(values: dict[str, object]) -> dict[str, object]:
    """A row as a candidate; raises what it fails for."""
    out, failure = candidate(values, Header(values))
    if failure:
        raise failure
    return out


def reason(values: dict[str, object]) -> tuple[Reason, str]:
    _, failure = candidate(values, Header(values))
    assert failure is not None
    return failure.reason, failure.detail


# -- delimited text ----------------------------------------------------------------------------------------------------
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


# -- JSON lines --------------------------------------------------------------------------------------------------------
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


# -- Parquet -----------------------------------------------------------------------------------------------------------
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


# -- columns and values ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("column", "field", "value", "wanted"),
    [
        ("LINK", "url", URL, URL),
        ("video_url", "url", URL, URL),
        ("Video ID", "source_id", "v1", "v1"),
        ("videoid", "source_id", 7, "7"),
        ("Start Seconds", "start_s", "1.5", 1.5),
        ("start-time", "start_s", "0:01:02.5", 62.5),
        ("channel", "uploader", " me ", "me"),
        ("Licence", "license", "CC0", "CC0"),
        ("class", "labels", "dog;cat | bird", ["dog", "cat", "bird"]),
        ("label", "labels", '["a, b", "c"]', ["a, b", "c"]),
        ("labels", "labels", "one, thing", ["one, thing"]),
        ("duration", "duration_s", "12", 12.0),
    ],
)
def test_aliases(column: str, field: str, value: object, wanted: object) -> None:
    out = taken({"url": URL, column: value} if field != "url" else {column: value})
    assert out[field] == wanted
    assert out["extra"] is None


def test_the_preferred_of_two_columns_wins_and_the_other_is_kept() -> None:
    out = taken({"video_url": "https://b.example/", "url": URL, "ID": "x", "ytid": "y", "views": 3, "none": None})
    assert (out["url"], out["source_id"]) == (URL, "x")
    assert json.loads(out["extra"]) == {"video_url": "https://b.example/", "views": 3, "ytid": "y"}


def test_an_unreadable_duration_is_no_reason_to_refuse() -> None:
    out = taken({"url": URL, "duration": "a minute"})
    assert out["duration_s"] is None
    assert out["extra"] == '{"duration":"a minute"}'


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"url": ""}, Reason.missing_url),
        ({"url": None, "id": "x"}, Reason.missing_url),
        ({"url": float("nan")}, Reason.missing_url),
        ({"url": "see the link in my profile"}, Reason.bad_url),
        ({"url": "http://"}, Reason.bad_url),
        ({"url": "http://host:port/x"}, Reason.bad_url),
        ({"url": "http://[::1/x"}, Reason.bad_url),
        ({"url": "https://me:secret@host.example/x"}, Reason.bad_url),
        ({"url": "https://host.example/a b"}, Reason.bad_url),
        ({"url": "https://host.example/\x1b[31m"}, Reason.bad_url),
        ({"url": "https://host.example/" + "x" * 5000}, Reason.bad_url),
        ({"ytid": "too short"}, Reason.bad_url),
        ({"url": "file:///etc/passwd"}, Reason.blocked_scheme),
        ({"url": "FILE:/etc/passwd"}, Reason.blocked_scheme),
        ({"url": "inbox:../secrets/x.mp4"}, Reason.blocked_scheme),
        ({"url": "s3://bucket/x.mp4"}, Reason.blocked_scheme),
        ({"url": "ftp://host.example/x.mp4"}, Reason.blocked_scheme),
        ({"url": "javascript:alert(1)"}, Reason.blocked_scheme),
        ({"url": URL, "start": -1}, Reason.bad_time),
        ({"url": URL, "start": "soon"}, Reason.bad_time),
        ({"url": URL, "start": 5, "end": 5}, Reason.bad_time),
        ({"url": URL, "end": 0}, Reason.bad_time),
        ({"url": URL, "start": True}, Reason.bad_time),
        ({"url": URL, "start": "inf"}, Reason.bad_time),
        ({"url": URL, "end": 1e12}, Reason.bad_time),
        ({"url": URL, "x": "y" * (MAX_ROW_BYTES + 1)}, Reason.bad_row),
    ],
)
def test_each_bad_value_has_its_reason(values: dict[str, object], wanted: Reason) -> None:
    found, detail = reason(values)
    assert found is wanted
    assert detail
    assert "secret" not in detail
    assert detail.isprintable()


def test_deep_nesting_is_refused() -> None:
    deep: object = 1
    for _ in range(100):
        deep = [deep]
    assert reason({"url": URL, "x": deep})[0] is Reason.bad_row


def test_a_bad_row_keeps_what_could_be_read() -> None:
    out, failure = candidate({"url": URL, "start": "x", "title": "t", "id": 1}, Header(["url", "start", "title", "id"]))
    assert failure.reason is Reason.bad_time
    assert (out["url"], out["title"], out["source_id"]) == (URL, "t", "1")


def test_times_are_rounded_to_milliseconds() -> None:
    out = taken({"url": URL, "start": 1.00049, "end": "2.0006"})
    assert (out["start_s"], out["end_s"]) == (1.0, 2.001)


# -- addresses ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "http://youtube.com/watch?feature=x&v=dQw4w9WgXcQ&t=3",
        "https://m.youtube.com/watch?v=dQw4w9WgXcQ#t=1",
        "https://music.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://youtu.be/dQw4w9WgXcQ?t=9",
        "https://www.youtube.com/embed/dQw4w9WgXcQ",
        "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ",
        "https://www.youtube.com/shorts/dQw4w9WgXcQ",
        "https://www.youtube.com/live/dQw4w9WgXcQ?x",
        "https://WWW.YouTube.COM/v/dQw4w9WgXcQ",
    ],
)
def test_every_form_of_a_youtube_address_is_one_video(url: str) -> None:
    assert urls.canonical(url) == "youtube:dQw4w9WgXcQ"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("HTTP://Host.Example:80", "http://host.example/"),
        ("https://host.example:443/A?b=C#d", "https://host.example/A?b=C"),
        ("http://host.example:8080/a", "http://host.example:8080/a"),
        ("https://host.example./a", "https://host.example/a"),
        ("http://[2001:DB8::1]/a", "http://[2001:db8::1]/a"),
        ("https://youtube.example/watch?v=dQw4w9WgXcQ", "https://youtube.example/watch?v=dQw4w9WgXcQ"),
        ("https://www.youtube.com/watch?v=short", "https://www.youtube.com/watch?v=short"),
    ],
)
def test_other_addresses_are_canonical_but_not_rewritten(url: str, wanted: str) -> None:
    assert urls.canonical(url) == wanted


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["http://", "https://", "HTTP://", "ftp://", ""]),
    st.sampled_from(
        ["a.example", "A.example", "a.example:80", "a@b.example", "m.youtube.com", "youtu.be", "a.", "[::1]"]
    ),
    st.text("/abcv=?#&;%20@.\u00e9 \t", max_size=24),
)
@example("https://", "a.example", "/?" + "a&" * 1200)
@example("https://", "a.example", "/a#b")
@example("https://", "a.example", "/a?")
@example("https://", "youtu.be", "/a1b2c3d4e5f")
def test_plain_addresses_are_taken_as_they_stand_and_as_taking_apart_has_them(
    scheme: str, host: str, rest: str
) -> None:
    def said() -> object:
        try:
            return urls.check(url), urls.canonical(urls.check(url))
        except SampleFailed as failure:
            return failure.reason, failure.detail

    url = scheme + host + rest
    quick = said()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urls, "_PLAIN", re.compile("(?!)"))
        assert said() == quick


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(max_size=9), st.one_of(st.text(max_size=12), st.none(), st.integers()), max_size=4))
@example({"b": 'say "hi"\\', "a": "\x00\x1f\u2028é", "": "\udc80"})
def test_extra_columns_are_canonical_json(columns: dict[str, object]) -> None:
    values = {f"x {name}": value for name, value in columns.items()}
    kept = {name: value for name, value in values.items() if value not in (None, "")}
    text = json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    wanted = text.encode("utf-8", "replace").decode() if kept else None
    assert taken({"url": URL, **values})["extra"] == wanted


@pytest.mark.parametrize(("text", "seconds"), [("12.5", 12.5), (" 7 ", 7.0), ("1e1", 10.0), ("1:02:03.5", 3723.5),
                                               ("PT1M2S", 62.0), ("\x005", 5.0), ("\uff13", 3.0)])  # fmt: skip
def test_times_are_seconds_however_they_are_written(text: str, seconds: float) -> None:
    assert taken({"url": URL, "start": text})["start_s"] == seconds


@pytest.mark.parametrize("text", ["1_0", "nan", "inf", "-1", "P", "1:2:3:4", "1e9"])
def test_what_is_no_time_in_a_video_is_refused(text: str) -> None:
    assert reason({"url": URL, "start": text})[0] is Reason.bad_time


def test_an_address_without_a_scheme_is_https() -> None:
    assert urls.check("www.videos.example/a") == "https://www.videos.example/a"
    assert urls.check("youtu.be/dQw4w9WgXcQ") == "https://youtu.be/dQw4w9WgXcQ"
    with pytest.raises(SampleFailed):
        urls.check("videos/a.mp4")
