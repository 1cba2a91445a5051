"""Rows of one list that name one clip: what they say of it is joined, whichever block its first row stands in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.batch.lists import ID, OTHER, URL, ingested
from winnow.batch import ingest as module

CAPTIONS = ["A dog barks", "A dog, far away", "Barking", "A dog and a man", "Noise"]
AUDIOCAPS = "audiocap_id,youtube_id,start_time,caption\n"


def rows_of(*captions: str, first: int = 0) -> str:
    return "".join(f'{first + n},{ID},30,"{caption}"\n' for n, caption in enumerate(captions))


def test_five_captions_of_a_clip_are_one_candidate(tmp_path: Path) -> None:
    day = ingested(tmp_path, {"a.csv": AUDIOCAPS + rows_of(*CAPTIONS)})
    assert day.windows == [(ID, 30.0, 40.0)]
    assert json.loads(day.rows[0]["extra"]) == {"audiocap_id": ["0", "1", "2", "3", "4"], "caption": CAPTIONS}
    assert (day.done["joined"], day.done["reasons"]) == (4, {})
    assert {k: day.list("a.csv")[k] for k in ("listed", "rows", "joined", "bad")} == {
        "listed": 5,
        "rows": 1,
        "joined": 4,
        "bad": 0,
    }


@pytest.mark.parametrize("shard_rows", [1, 2, 3, 100])
@pytest.mark.parametrize("apart", [False, True])
def test_rows_far_apart_are_joined_too(
    shard_rows: int, apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if apart and shard_rows != 2:
        pytest.skip("one size is enough: the same code runs in another process")
    monkeypatch.setattr(module, "APART_BYTES", 1 if apart else 1 << 30)
    others = "".join(f"{n},{OTHER},{n},x{n}\n" for n in range(5, 9))
    text = AUDIOCAPS + rows_of(*CAPTIONS[:2]) + others + rows_of(*CAPTIONS[2:], first=2)
    day = ingested(tmp_path, {"a.csv": text}, shard_rows=shard_rows)
    joined = next(row for row in day.rows if row["url"].endswith(ID))
    assert json.loads(joined["extra"])["caption"] == CAPTIONS
    assert (len(day.rows), day.done["joined"], day.done["rows"]) == (5, 4, 5)


def test_labels_are_joined_each_once(tmp_path: Path) -> None:
    text = f"video_id,label,modality\n{ID}_000030,dog,AV\n{ID}_000030,cat,A\n{ID}_000030,dog;bird,V\n"
    [row] = ingested(tmp_path, {"v.csv": text}).rows
    assert row["labels"] == ["dog", "cat", "bird"]
    assert json.loads(row["extra"]) == {"modality": ["AV", "A", "V"]}


def test_titles_and_descriptions_are_not_dropped(tmp_path: Path) -> None:
    [row] = ingested(tmp_path, {"v.csv": f"url,title,description\n{URL},a,one\n{URL},a,two\n"}).rows
    assert (row["title"], row["description"]) == ("a", "one")
    assert json.loads(row["extra"]) == {"description": ["one", "two"]}


def test_what_says_the_same_is_a_duplicate(tmp_path: Path) -> None:
    day = ingested(tmp_path, {"a.csv": AUDIOCAPS + rows_of(*CAPTIONS[:2]) + rows_of(CAPTIONS[1], first=2)})
    assert [(row["outcome"], row["reason"]) for row in day.rows] == [("ok", None), ("failed", "duplicate_row")]
    assert json.loads(day.rows[0]["extra"])["caption"] == CAPTIONS[:2]
    other = ingested(tmp_path / "b", {"a.csv": f"url,views\n{URL},1\n{URL},2\n"})
    assert other.done["reasons"] == {"duplicate_row": 1}


def test_another_list_keeps_what_it_says(tmp_path: Path) -> None:
    day = ingested(tmp_path, {"a.csv": f"url,label\n{URL},dog\n", "b.csv": f"url,label\n{URL},cat\n"})
    assert [(row["reason"], row["labels"]) for row in day.rows] == [(None, ["dog"]), ("duplicate_row", ["cat"])]


def test_other_windows_are_other_clips(tmp_path: Path) -> None:
    day = ingested(tmp_path, {"a.csv": f"url,start,end,label\n{URL},1,2,dog\n{URL},2,3,cat\n"})
    assert len(day.windows) == 2
    assert day.done["joined"] == 0
