"""Lists of YFCC100M: every shape with and without a header, and rows that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow.annotations import yfcc_splits
from winnow.batch.ingest import ingest
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.sources import source_of, yfcc, yfcc_path

#: The example of the READMEs: its hash has 31 characters.
README = "data/videos/mp4/827/f6b/827f6b53467db2d5218ed8247418c4c.mp4"
FULL = "data/videos/mp4/0a1/b2c/0a1b2c3d4e5f60718293a4b5c6d7e8f9.mp4"
PREFIX = "https://multimedia-commons.s3-us-west-2.amazonaws.com/"


def read(tmp_path: Path, text: str, name: str = "list.csv") -> list:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert source_of(path).name == "yfcc"
    return list(yfcc.read(path))


def test_a_path_is_its_hashs_first_three_and_next_three_characters() -> None:
    assert yfcc_path.video_hash(README) == "827f6b53467db2d5218ed8247418c4c"
    assert yfcc_path.path_of("827f6b53467db2d5218ed8247418c4c") == README
    assert yfcc_path.video_hash(FULL) == "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("data/videos/mp4/827/f6c/827f6b53467db2d5218ed8247418c4c.mp4", "first characters, 827/f6b"),
        ("data/videos/mp4/827/f6b/827f6b53467db2d5218ed8247418c.mp4", "31 or 32"),
        ("data/videos/mp4/827/f6b/827f6b53467db2d5218ed8247418c4c4c.mp4", "31 or 32"),
        ("data/videos/mp4/827/f6b/827F6B53467DB2D5218ED8247418C4C.mp4", "31 or 32"),
        ("data/videos/mp4/827/f6b/../../827f6b53467db2d5218ed8247418c4c.mp4", "31 or 32"),
        (README + "\n", "31 or 32"),
        ("x" + README, "31 or 32"),
    ],
)
def test_a_path_of_another_layout_is_refused(path: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        yfcc_path.video_hash(path)


@pytest.mark.parametrize("header", ["", "video path,input start time,input end time\n", "Video Path,start,end\n"])
def test_a_clip_list_with_and_without_a_header(tmp_path: Path, header: str) -> None:
    rows = read(tmp_path, f"{header}{README},1.5,6.5\n{FULL},0,5\n")
    assert [row.number for row in rows] == [0, 1]
    first = rows[0].values
    assert (first["url"], first["id"]) == (PREFIX + README, "827f6b53467db2d5218ed8247418c4c")
    assert (first["start"], first["end"], first["uploader"], first["output_offset_s"]) == ("1.5", "6.5", None, None)


def test_a_mixit_list_has_an_offset_and_an_uploader_may_follow(tmp_path: Path) -> None:
    [row] = read(tmp_path, f"{README},1.5,6.5,2.25\n")
    assert (row.values["output_offset_s"], row.values["uploader"]) == (2.25, None)
    [row] = read(tmp_path, f"{README},1.5,6.5,2.25,39019111@N00\n")
    assert (row.values["output_offset_s"], row.values["uploader"]) == (2.25, "39019111@N00")
    [row] = read(tmp_path, f"{README},1.5,6.5,39019111@N00\n")
    assert (row.values["output_offset_s"], row.values["uploader"]) == (None, "39019111@N00")


def test_video_lists(tmp_path: Path) -> None:
    [row] = read(tmp_path, f"{README}\n", "list.txt")
    assert (row.values["duration"], row.values["start"]) == (None, None)
    [row] = read(tmp_path, f"{README},37.5\n")
    assert row.values["duration"] == "37.5"
    [row] = read(tmp_path, f"{README}\t37.5\t39019111@N00\n", "list.tsv")
    assert (row.values["duration"], row.values["uploader"]) == ("37.5", "39019111@N00")
    [row] = read(tmp_path, f"uploader,duration,path,colour\n77,37.5,{README},red\n")
    assert (row.values["duration"], row.values["uploader"]) == ("37.5", "77")


def test_a_probability_under_a_header(tmp_path: Path) -> None:
    text = f"video path,start,end,coincidence\n{README},0,5,0.8\n{FULL},0,5,1.2\n"
    good, bad = read(tmp_path, text)
    assert good.values["coincidence_p"] == 0.8
    assert "a number from 0 to 1" in bad.problem


def test_a_bad_row_spoils_only_itself(tmp_path: Path) -> None:
    wrong = README.replace("827/f6b", "827/f6c")
    rows = read(tmp_path, f"{wrong},0,5\n{README},0,5\n{README},0\n{README},,5\n\n{FULL},2,7\n")
    assert [row.values is None for row in rows] == [True, False, True, True, False]
    assert "line 1" in rows[0].problem
    assert "2 cells under 3 columns" in rows[2].problem
    assert "without a start" in rows[3].problem
    assert rows[4].number == 4


def test_a_first_row_of_no_shape_is_no_header(tmp_path: Path) -> None:
    rows = read(tmp_path, f"{README},1,2,3,4,5,6,7,8,9\n{README},0,5\n")
    assert "fits no list" in rows[0].problem
    assert rows[1].values["start"] == "0"


@pytest.mark.parametrize("header", ["", "Video path 1,Input start time 1,Input end time 1,Video path 2,s,e\n"])
@pytest.mark.parametrize("offset", ["", ",1.5"])
def test_a_list_of_mixtures_gives_each_of_its_clips_once(tmp_path: Path, header: str, offset: str) -> None:
    one, two, three = (f"{path},{start},{start + 5}{offset}" for path, start in ((README, 0), (FULL, 0), (FULL, 7)))
    wrong = one.replace("/f6b/", "/f6c/")
    rows = read(tmp_path, f"{header}{one},{two}\n{one},{three}\n{wrong},{two}\n{one}\n")
    assert [row.number for row in rows] == [0, 1, 2, 3, 4]
    clips = [(row.values["url"].removeprefix(PREFIX), row.values["start"]) for row in rows[:3]]
    assert clips == [(README, "0"), (FULL, "0"), (FULL, "7")]
    assert {row.values["output_offset_s"] for row in rows[:3]} == {1.5 if offset else None}
    assert "first characters" in rows[3].problem


def test_other_lists_are_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("url,video_path\nhttp://a.example/x.mp4,videos/x.mp4\n")
    assert source_of(path).name == "csv"


def test_bytes_that_are_no_text_and_long_lines(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(f"{README},0,5\n".encode() + b"\xff\xfe,0,5\n" + b"x" * (3 << 20) + f"\n{FULL},0,5\n".encode())
    rows = list(yfcc.read(path))
    assert [row.values is None for row in rows] == [False, True, True, False]
    assert "not UTF-8" in rows[1].problem
    assert "line 3: longer than" in rows[2].problem


def test_ingest_makes_candidates_of_a_list(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox" / "2026-11-01"
    inbox.mkdir(parents=True)
    wrong = README.replace("827/f6b", "827/f6c")
    text = "".join(
        f"{row},0.5,39019111@N00\n" for row in (f"{README},1,6", f"{wrong},1,6", f"{README},6,6", f"{README},1.0,6")
    )
    (inbox / "train_clips.csv").write_text(text)
    lake = Lake(tmp_path / "lake")
    settings = Settings(lake=lake.root, inbox=tmp_path / "inbox")
    done = ingest("2026-11-01", settings, lake)
    assert done["reasons"] == {"bad_row": 1, "bad_time": 1, "duplicate_row": 1}
    assert done["ok"] == 1


# -- splits of published lists -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("unfiltered_train_clips.csv", "train"),
        ("filtered_validate_onscreen_unanimous_clips.csv", "validate"),
        ("unfiltered_test_offscreen_unanimous_plus_random_unfiltered_mom_clips.csv", "test"),
        ("val.csv", "validate"),
        ("training_clips.csv", None),
        ("train_test.csv", None),
        ("clips.csv", None),
    ],
)
def test_a_published_lists_name_says_its_split(name: str, split: str | None) -> None:
    assert yfcc_splits.split_of(name) == split


def test_splits_of_a_list_are_its_videos_once(tmp_path: Path) -> None:
    path = tmp_path / "unfiltered_test_onscreen_unanimous_plus_random_unfiltered_mom_clips.csv"
    wrong = README.replace("827/f6b", "827/f6c")
    path.write_text(f"{README},0,5,{FULL},0,5\n{README},0,5,{wrong},0,5\n")
    rows = list(yfcc_splits.read_splits(path))
    assert [row.values and (row.values["family"], row.values["key"], row.values["split"]) for row in rows] == [
        ("audioscope", README, "test"),
        ("audioscope", FULL, "test"),
        None,
    ]
    assert "line 2" in rows[2].problem
    [row] = yfcc_splits.read_splits(tmp_path / "clips.csv")
    assert "says train, validate or test" in row.problem
