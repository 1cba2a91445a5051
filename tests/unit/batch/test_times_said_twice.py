"""Times that a list has in two places, or in its addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.batch.lists import ID, URL, ingested

WATCH = f"https://www.youtube.com/watch?v={ID}"


@pytest.mark.parametrize(
    ("given", "window"),
    [
        (f"{WATCH}&t=30", (30.0, None)),
        (f"{WATCH}&t=1m30s", (90.0, None)),
        (f"https://youtu.be/{ID}?t=30s", (30.0, None)),
        (f"https://www.youtube.com/embed/{ID}?start=30&end=40", (30.0, 40.0)),
        (f"{WATCH}#t=30", (30.0, None)),
        (f"{URL}#t=10,20.5", (10.0, 20.5)),
        (f"{URL}#t=npt:0:10,0:20", (10.0, 20.0)),
        (f"{URL}#t=,20", (None, 20.0)),
        (f"{URL}?t=30", (None, None)),
        (f"{URL}#part=3", (None, None)),
    ],
)
def test_an_address_may_say_where_to_begin(given: str, window: tuple, tmp_path: Path) -> None:
    day = ingested(tmp_path, {"a.jsonl": f'{{"url": "{given}"}}\n'})
    (row,) = day.rows
    assert (row["outcome"], row["start_s"], row["end_s"]) == ("ok", *window)
    said = "video, and its t, start and end where an address has them"
    assert (day.list("a.jsonl").get("inferred", {}).get("url") == said) == (window != (None, None))


def test_two_stretches_of_one_address_are_two_candidates(tmp_path: Path) -> None:
    day = ingested(tmp_path, {"a.txt": f"{URL}#t=0,5\n{URL}#t=5,10\n"})
    assert [row["outcome"] for row in day.rows] == ["ok", "ok"]
    assert len({row["sample_id"] for row in day.rows}) == 2


def test_a_column_counts_before_the_address_and_settings_before_both(tmp_path: Path) -> None:
    lists = {"a.csv": f"url,start,end\n{WATCH}&t=30,3,8\n", "b.csv": f"url\n{URL}#t=7\n"}
    day = ingested(tmp_path, {**lists, "b.csv.toml": "address_times = false\n"})
    assert [(row["start_s"], row["end_s"]) for row in day.rows] == [(3.0, 8.0), (None, None)]


def test_a_time_of_an_address_that_is_none_fails_its_row(tmp_path: Path) -> None:
    day = ingested(tmp_path, {"a.txt": f"{URL}#t=20,10\n{URL}#t=soon\n"})
    assert [row["reason"] for row in day.rows] == ["bad_time", "bad_time"]


def test_a_second_start_that_differs_stops_the_list(tmp_path: Path) -> None:
    text = f"url,start,end,start_time,end_time\n{URL},3,8,13,18\n"
    day = ingested(tmp_path / "bad", {"a.csv": text})
    assert "'start' and 'start_time' each look like the start of a clip and differ (3 and 13)" in day.refused
    settings = '[columns]\nstart = "start_time"\nend = "end_time"\n'
    assert ingested(tmp_path / "said", {"a.csv": text, "a.csv.toml": settings}).windows == [(URL, 13.0, 18.0)]
    same = f"url,start,end,start_ms,end_ms\n{URL},3,8,3000,8000\n"
    assert ingested(tmp_path / "same", {"a.csv": same}).windows == [(URL, 3.0, 8.0)]
