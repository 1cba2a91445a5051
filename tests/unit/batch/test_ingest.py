"""Ingest: the inbox becomes a table; nothing is lost, nothing is read twice, nothing outside is touched."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from winnow.batch.inbox import Inbox
from winnow.batch.ingest import ingest
from winnow.batch.rows import Rows
from winnow.core.errors import ConfigError, TransientError
from winnow.core.lake import Lake, sha256_file
from winnow.core.planned_table import INGEST, PlannedTable
from winnow.core.pointer import StaleWriter
from winnow.core.sample import candidate_id, sid
from winnow.core.settings import Settings
from winnow.core.shard import Lineage

DAY = "2026-11-01"
URL = "https://videos.example"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(inbox=tmp_path / "inbox")


@pytest.fixture
def day(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox" / DAY
    folder.mkdir(parents=True)
    return folder


def rows(lake: Lake) -> list[dict]:
    lineage = Lineage(lake, DAY, {})
    found = []
    for number in lineage.numbers("ingest"):
        table = pq.read_table(io.BytesIO(lake.read_table(lineage.committed("ingest", number))))
        assert table.column_names == ["sample_id", "outcome", "reason", "detail", *INGEST.columns]
        assert table["sample_id"].to_pylist() == sorted(table["sample_id"].to_pylist())
        found += table.to_pylist()
    return found


def test_lists_and_media_become_candidates(day: Path, lake: Lake, settings: Settings) -> None:
    (day / "a.csv").write_text(f"id,url,start,end,views\nx,{URL}/a.mp4,1,2,9\n")
    (day / "b.jsonl").write_text(json.dumps({"url": f"{URL}/b.mp4#frag", "labels": ["dog"]}) + "\n")
    (day / "camera").mkdir()
    (day / "camera" / "holiday.MP4").write_bytes(b"not looked at")
    done = ingest(DAY, settings, lake)
    assert {k: done[k] for k in ("rows", "ok", "failed", "shards", "computed", "skipped")} == {
        "rows": 3,
        "ok": 3,
        "failed": 0,
        "shards": 1,
        "computed": True,
        "skipped": [],
    }
    by = {r["source"]: r for r in rows(lake)}
    video = sid("video", f"{URL}/a.mp4")
    assert by["csv"]["sample_id"] == candidate_id(video, 1.0, 2.0)
    assert (by["csv"]["video_id"], by["csv"]["list_path"], by["csv"]["list_row"]) == (video, "a.csv", 0)
    assert by["csv"]["extra"] == '{"views":"9"}'
    assert by["jsonl"]["video_id"] == sid("video", f"{URL}/b.mp4")
    digest = sha256_file(day / "camera" / "holiday.MP4")
    assert by["folder"]["url"] == f"inbox:{DAY}/camera/holiday.MP4"
    assert by["folder"]["content_sha256"] == digest
    assert by["folder"]["video_id"] == sid("video", f"inbox:{digest}")
    assert all(r["batch"] == DAY for r in by.values())


def test_repeated_candidates_are_rows_with_a_reason(day: Path, lake: Lake, settings: Settings) -> None:
    (day / "a.csv").write_text(f"url,start\n{URL}/a.mp4,\n{URL}/a.mp4,3\n{URL}/a.mp4#x,\n")
    (day / "b.csv").write_text(f"url\n{URL}/a.mp4\n")
    (day / "one.mp4").write_bytes(b"same")
    (day / "two.mp4").write_bytes(b"same")
    ingest(DAY, settings, lake)
    failed = {(r["list_path"], r["list_row"]): r for r in rows(lake) if r["outcome"] == "failed"}
    assert {k: r["reason"] for k, r in failed.items()} == {
        ("a.csv", 2): "duplicate_row",
        ("b.csv", 0): "duplicate_row",
        ("two.mp4", 0): "duplicate_row",
    }
    assert failed["a.csv", 2]["sample_id"] == sid("row", "a.csv", 2)
    assert failed["b.csv", 0]["detail"] == "the same as row 0 of a.csv"
    assert len(rows(lake)) == 6


def test_unchanged_files_are_not_read_again(day: Path, lake: Lake, settings: Settings) -> None:
    (day / "a.csv").write_text(f"url\n{URL}/a.mp4\n")
    first = ingest(DAY, settings, lake)
    os.utime(day / "a.csv", (1, 1))
    again = ingest(DAY, settings, lake)
    assert (first["computed"], again["computed"]) == (True, False)
    assert {k: v for k, v in again.items() if k != "computed"} == {k: v for k, v in first.items() if k != "computed"}
    before = lake.head("ingest", DAY)
    (day / "b.csv").write_text(f"url\n{URL}/b.mp4\n")
    assert ingest(DAY, settings, lake)["rows"] == 2
    assert lake.head("ingest", DAY) != before


def test_a_late_ingest_does_not_put_its_older_table_over_a_newer_one(
    day: Path, lake: Lake, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import winnow.batch.ingest as module

    def listed(inbox: Path, count: int) -> Settings:
        (inbox / DAY).mkdir(parents=True, exist_ok=True)
        (inbox / DAY / "a.csv").write_text("url\n" + "".join(f"{URL}/{i}.mp4\n" for i in range(count)))
        return Settings(inbox=inbox)

    blocks = module._blocks

    def meanwhile(rows: Rows):
        found = list(blocks(rows))
        monkeypatch.setattr(module, "_blocks", blocks)
        assert ingest(DAY, listed(tmp_path / "newer", 50), lake)["rows"] == 50
        return found

    monkeypatch.setattr(module, "_blocks", meanwhile)
    with pytest.raises(StaleWriter, match=rf'"rows": 50.*Run `winnow ingest --batch {DAY}` again'):
        ingest(DAY, listed(tmp_path / "inbox", 10), lake)
    assert len(rows(lake)) == 50


def test_shards_are_cut_by_rows_and_do_not_depend_on_the_folder(
    day: Path, lake: Lake, settings: Settings, tmp_path: Path
) -> None:
    (day / "a.csv").write_text("url\n" + "".join(f"{URL}/{i}.mp4\n" for i in range(25)))
    assert ingest(DAY, settings, lake, shard_rows=10)["shards"] == 3
    assert len(rows(lake)) == 25
    other = Lake(tmp_path / "other")
    (tmp_path / "inbox").rename(tmp_path / "elsewhere")
    ingest(DAY, Settings(inbox=tmp_path / "elsewhere"), other, shard_rows=10)
    assert other.head("ingest", DAY) == lake.head("ingest", DAY)


def test_shards_of_long_texts_have_fewer_rows(
    day: Path, lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("winnow.batch.rows.BLOCK_CHARS", 900)
    again = "".join(f"{URL}/{i}.mp4,other\n" for i in (0, 6))
    (day / "a.csv").write_text("url,description\n" + "".join(f"{URL}/{i}.mp4,{'x' * 300}\n" for i in range(7)) + again)
    assert ingest(DAY, settings, lake, shard_rows=100)["shards"] == 3
    found = rows(lake)
    assert [len(row["extra"] or "") > 300 for row in sorted(found, key=lambda row: row["url"])] == [
        True,
        False,
        False,
        False,
        False,
        False,
        True,
    ]


def test_large_lists_are_read_apart_and_give_the_same(
    day: Path, lake: Lake, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import winnow.batch.ingest as module

    (day / "a.csv").write_text("url\n" + "".join(f"{URL}/{i % 30}.mp4\n" for i in range(45)) + "nonsense\n")
    ingest(DAY, settings, lake, shard_rows=10)
    other = Lake(tmp_path / "other")
    monkeypatch.setattr(module, "APART_BYTES", 1)
    assert ingest(DAY, settings, other, shard_rows=10)["reasons"] == {"bad_url": 1, "duplicate_row": 15}
    assert other.head("ingest", DAY) == lake.head("ingest", DAY)
    assert rows(other) == rows(lake)


def test_a_reader_that_fails_apart_is_told(tmp_path: Path) -> None:
    import winnow.batch.ingest as module

    missing = Inbox({"gone.csv": tmp_path / "gone.csv"})
    with pytest.raises(FileNotFoundError, match=r"gone\.csv"):
        list(module.blocks_apart(Rows(DAY, missing, {"gone.csv": "0" * 64}, 10)))


def test_what_is_passed_over_is_named(day: Path, lake: Lake, settings: Settings, tmp_path: Path) -> None:
    outside = tmp_path / "secret.csv"
    outside.write_text(f"url\n{URL}/secret.mp4\n")
    (day / "link.csv").symlink_to(outside)
    (day / "linked").symlink_to(tmp_path)
    (day / "broken.csv").symlink_to(tmp_path / "nothing")
    (day / "inside.csv").symlink_to(day / "a.csv")
    (day / "a.csv").write_text(f"url\n{URL}/a.mp4\n")
    (day / ".hidden.csv").write_text("url\n")
    (day / ".git").mkdir()
    (day / ".git" / "x.csv").write_text(f"url\n{URL}/git.mp4\n")
    (day / "b.csv.part").write_text("url\n")
    (day / "notes.txt").write_text("hello")
    (day / "empty.csv").write_text("")
    os.mkfifo(day / "pipe.csv")
    done = ingest(DAY, settings, lake)
    assert done["skipped"] == [
        ".git/: hidden",
        ".hidden.csv: hidden",
        "b.csv.part: temporary",
        "broken.csv: a broken link",
        "empty.csv: empty",
        "link.csv: a link out of the inbox",
        "linked/: a link",
        "notes.txt: neither a list (.csv .json .jsonl .ndjson .parquet .pq .tsv .txt) nor media",
        "pipe.csv: not a file",
    ]
    assert {r["url"] for r in rows(lake)} == {f"{URL}/a.mp4"}


def test_an_empty_partition_does_nothing(day: Path, lake: Lake, settings: Settings) -> None:
    assert ingest("2026-12-24", settings, lake) == {"batch": "2026-12-24", "empty": True}
    assert ingest(DAY, settings, lake) == {"batch": DAY, "empty": True}
    (day / "a.csv").write_text("url,title\n")
    assert ingest(DAY, settings, lake) == {"batch": DAY, "empty": True}
    assert not Path(lake.root).exists()


@pytest.mark.parametrize("inbox", ["inbox", "s3://bucket/inbox"])
def test_an_inbox_that_is_not_there_is_no_empty_day(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inbox: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"WINNOW_INBOX=.*inbox: there is no such folder"):
        ingest(DAY, Settings(inbox=inbox), lake)


def test_a_partition_cannot_lead_out_of_the_inbox(settings: Settings, lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "inbox" / "leak").symlink_to(tmp_path / "other")
    with pytest.raises(ConfigError, match="leads out of the inbox"):
        ingest("leak", settings, lake)
    with pytest.raises(ConfigError):
        ingest("../other", settings, lake)


def test_a_list_that_is_still_written_is_tried_again(
    day: Path, lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = day / "a.csv"
    path.write_text(f"url\n{URL}/a.mp4\n")
    inner = PlannedTable.commit_rows

    def commit(*arguments, **named):
        path.write_text(f"url\n{URL}/a.mp4\n{URL}/b.mp4\n")
        return inner(*arguments, **named)

    monkeypatch.setattr(PlannedTable, "commit_rows", commit)
    with pytest.raises(TransientError, match="changed while it was read"):
        ingest(DAY, settings, lake)
    assert lake.head("ingest", DAY) is None


def test_a_hundred_thousand_rows_are_ten_shards(day: Path, lake: Lake, settings: Settings) -> None:
    (day / "a.csv").write_text(
        "id,url,title,views\n" + "".join(f"{i},{URL}/{i}.mp4,t {i},{i}\n" for i in range(100_000))
    )
    assert ingest(DAY, settings, lake)["shards"] == 10
