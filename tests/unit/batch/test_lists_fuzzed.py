"""Lists as nobody would write them: windows come back whatever the order, separator, quoting and unit; and whatever is
done to a list's bytes, ingest does not fall over and every row is counted."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.batch.lists import DAY, ID, OTHER, URL
from winnow.batch.inbox import Inbox
from winnow.batch.rows import Rows
from winnow.core.lake import sha256_file

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
#: (header of the start, of the second time, how each is written)
WRITTEN = {
    "seconds": ("start", "end", lambda s: repr(s / 1000), lambda s, e: repr(e / 1000)),
    "milliseconds": ("start_ms", "end_ms", str, lambda s, e: str(e)),
    "clock": ("begin", "finish", lambda s: clock(s), lambda s, e: clock(e)),
    "iso": ("startTime", "endTime", lambda s: f"PT{s / 1000:.3f}S", lambda s, e: f"PT{e / 1000:.3f}S"),
    "length": ("t_start", "duration", lambda s: f"{s / 1000:.3f}", lambda s, e: f"{(e - s) / 1000:.3f}"),
}


def clock(ms: int) -> str:
    return f"{ms // 3_600_000}:{ms // 60_000 % 60:02d}:{ms % 60_000 / 1000:06.3f}"


def read(folder: Path) -> tuple[list[dict], Rows]:
    inbox = Inbox.of(folder, DAY)
    rows = Rows(DAY, inbox, {name: sha256_file(path) for name, path in inbox.files.items()}, 3)
    return list(rows), rows


@pytest.fixture
def day(tmp_path: Path) -> Path:
    (tmp_path / DAY).mkdir()
    return tmp_path / DAY


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_windows_come_back(day: Path, data: st.DataObject) -> None:
    start, end, first, second = WRITTEN[data.draw(st.sampled_from(sorted(WRITTEN)))]
    times = data.draw(st.lists(st.tuples(st.integers(0, 90_000_000), st.integers(1, 900_000)), min_size=1, max_size=8))
    windows = [(s, s + length) for s, length in times]
    columns = data.draw(st.permutations(["url", start, end, "title", "label"]))
    delimiter, quoting = data.draw(st.sampled_from(",;\t|")), data.draw(st.sampled_from([0, 1]))
    made = io.StringIO()
    writer = csv.DictWriter(made, columns, delimiter=delimiter, quoting=quoting)
    writer.writeheader()
    for n, (s, e) in enumerate(windows):
        texts = {"title": data.draw(TEXTS), "label": "dog"}
        writer.writerow({"url": f"{URL}?{n}", start: first(s), end: second(s, e), **texts})
    (day / "a.csv").write_text(made.getvalue(), encoding="utf-8", newline="")
    found, rows = read(day.parent)
    assert [report.refused for report in rows.reports] == [None]
    assert [(row["url"], row["start_s"], row["end_s"]) for row in found] == [
        (f"{URL}?{n}", s / 1000, e / 1000) for n, (s, e) in enumerate(windows)
    ]


SEEDS = {
    "a.csv": f'url,start,end,label\n{URL},3,8,"dog, big"\n{URL}?2,4,9,cat\n{URL}?3,1:02,1:09,"x\ny"\n',
    "b.csv": f"label,youtube_id,time_start,time_end\ndog,{ID},3,8\ncat,{OTHER},4,9\n",
    "c.txt": f"{URL}\n{URL}?2\n",
    "d.csv": f"{ID},3,8\n{OTHER},4,9\n",
    "e.json": json.dumps({"videos": {"flute": [ID, OTHER]}}),
    "f.json": json.dumps({f"v_{ID}": {"duration": 82.7, "timestamps": [[0.8, 19], [17, 60]], "sentences": ["a", "b"]}}),
    "g.jsonl": json.dumps({"url": URL, "clip": [{"span": ["00:00:17.7", "00:00:23.2"]}]}) + f'\n{{"url": "{URL}"}}\n',
    "h.csv": f"sep=;\nurl;start\n{URL};3\n",
    "i.csv": f"audiocap_id,youtube_id,start_time,caption\n1,{ID},130,A dog\n2,{ID},130,A cat\n",
    "output.csv": f'shard-000000,{ID}_069.mp4,{ID},"[69, 79]"\n',
    "AVVP.csv": f"filename\tevent_labels\n{ID}_24.5_34.5\tSpeech\n",
    "k.csv": f'# YTID, start_seconds, end_seconds, positive_labels\n{ID}, 0.000, 10.000, "/m/a,/m/b"\n',
}
PIECES = [
    '"',
    ",",
    "\n",
    "\r",
    ";",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ":",
    "\x00",
    "#",
    "0",
    "-1",
    "1e309",
    "nan",
    "url",
    "start",
    ID,
    URL,
    "_30",
    "P",
    "PT1S",
    '""',
    " ",
    "'",
    "\u2028",
    "é",
]


@pytest.mark.parametrize("seed", range(12))
def test_no_mutation_makes_ingest_fall_over_or_lose_a_row(seed: int, day: Path) -> None:
    rng = random.Random(seed)
    for _ in range(90):
        name = rng.choice(sorted(SEEDS))
        text = bytearray(SEEDS[name].encode())
        for _ in range(rng.choice([1, 1, 2, 3, 8])):
            at = rng.randrange(len(text) + 1)
            if rng.random() < 0.6:
                text[at:at] = rng.choice([*(piece.encode() for piece in PIECES), b"\xff"])
            else:
                del text[at : at + rng.choice([1, 2, 5, 20])]
        for old in day.iterdir():
            old.unlink()
        (day / name).write_bytes(text)
        found, rows = read(day.parent)
        for report in rows.reports:
            assert sum(row["list_path"] == report.list for row in found) == report.rows
            assert report.refused or report.rows + report.joined >= report.listed, bytes(text)
        assert all(row["url"] for row in found if row["outcome"] == "ok")
