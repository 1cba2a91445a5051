"""A list's row as a candidate: its columns by their names, its values, and a reason for each bad one."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.sources.candidates import URL, reason, taken
from winnow.core.sample import Reason
from winnow.sources.candidate import candidate
from winnow.sources.columns import Header
from winnow.sources.row import MAX_ROW_BYTES


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


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(max_size=9), st.one_of(st.text(max_size=12), st.none(), st.integers()), max_size=4))
@example({"b": 'say "hi"\\', "a": "\x00\x1f\u2028é", "": "\udc80"})
def test_extra_columns_are_canonical_json(columns: dict[str, object]) -> None:
    values = {f"x {name}": value for name, value in columns.items()}
    kept = {name: value for name, value in values.items() if value not in (None, "")}
    text = json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    wanted = text.encode("utf-8", "replace").decode() if kept else None
    assert taken({"url": URL, **values})["extra"] == wanted


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12.5", 12.5),
        (" 7 ", 7.0),
        ("1e1", 10.0),
        ("1:02:03.5", 3723.5),
        ("PT1M2S", 62.0),
        ("\x005", 5.0),
        ("\uff13", 3.0),
    ],
)
def test_times_are_seconds_however_they_are_written(text: str, seconds: float) -> None:
    assert taken({"url": URL, "start": text})["start_s"] == seconds


@pytest.mark.parametrize("text", ["1_0", "nan", "inf", "-1", "P", "1:2:3:4", "1e9"])
def test_what_is_no_time_in_a_video_is_refused(text: str) -> None:
    assert reason({"url": URL, "start": text})[0] is Reason.bad_time
