"""VGGSound, AVE, VGGSound-AVEL and LLP as candidates: their lists, their faults, and what ingest makes of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import needs
from winnow.batch.ingest import ingest
from winnow.core.lake import Lake
from winnow.core.sample import candidate_id, sid
from winnow.core.settings import Settings
from winnow.sources import ave, avel, llp, source_of, vggsound, youtube_clips
from winnow.sources.row import Row

ID, OTHER = "AbCdEfGhIjK", "-b_dEfGhI-_"
AVEL_HEADER = "category,video_id,split\n"
LLP_HEADER = "filename\tonset\toffset\tevent_labels\n"


def read(path: Path, text: str, name: str) -> list[Row]:
    """Rows of a list, by the reader that its first lines choose."""
    path.write_text(text)
    source = source_of(path)
    assert source is not None
    assert source.name == name
    return list(source.read(path))


def problems(rows: list[Row]) -> list[str]:
    return [row.problem for row in rows if row.problem is not None]


# -- names of clips ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "found"),
    [
        (ID, (ID, None, None)),
        (f"{ID}_000030", (ID, 30, 40)),
        (f"{ID}_000030.mp4", (ID, 30, 40)),
        (f"{OTHER}_390_400", (OTHER, 390, 400)),
        (f"{ID}_12.5", (ID, 12.5, 22.5)),
    ],
)
def test_names_of_clips(name: str, found: tuple) -> None:
    assert youtube_clips.parse(name) == found


@pytest.mark.parametrize("name", ["", "short", f"{ID}_", f"{ID}_x", f"{ID}_40_30", f"{ID}_1_2_3", f"../{ID}", f"{ID} "])
def test_what_names_no_clip(name: str) -> None:
    if name.strip() == ID:
        assert youtube_clips.parse(name)[0] == ID
        return
    with pytest.raises(ValueError, match=r"names no clip|not after its start"):
        youtube_clips.parse(name)


def test_names_are_written_as_vggsound_does() -> None:
    assert youtube_clips.name_of(ID, 30.0) == f"{ID}_000030"
    assert youtube_clips.name_of(ID, None) == ID
    assert youtube_clips.name_of(ID, 30.5) == f"{ID}_000030.500"
    assert youtube_clips.parse(youtube_clips.name_of(ID, 30.5))[1] == 30.5


# -- VGGSound ----------------------------------------------------------------------------------------------------------
def test_vggsound(tmp_path: Path) -> None:
    rows = read(
        tmp_path / "vggsound.csv",
        f'{OTHER},0,"waterfall, burbling",train\n{ID},30,dog; barking,test\n'
        f"{ID},x,dog,test\n{ID},5,dog\nshort,5\n{ID},5,dog,val\n",
        "vggsound",
    )
    assert rows[0].values == {
        "youtube_id": OTHER,
        "start": 0.0,
        "end": 10.0,
        "labels": ["waterfall, burbling"],
        "vggsound_split": "train",
    }
    assert rows[1].values["labels"] == ["dog; barking"]
    assert [row.problem is None for row in rows] == [True, True, False, False, False, False]
    assert [problem.partition(":")[0] for problem in problems(rows)] == ["line 3", "line 4", "line 5", "line 6"]


def test_vggsounds_test_list(tmp_path: Path) -> None:
    rows = read(tmp_path / "test.csv", f"{ID}_000030.mp4,dog barking\n{OTHER}.mp4,dog\n", "vggsound")
    assert (rows[0].values["start"], rows[0].values["labels"]) == (30.0, ["dog barking"])
    assert "names no start" in problems(rows)[0]


def test_a_bad_first_row_does_not_hide_the_format(tmp_path: Path) -> None:
    rows = read(tmp_path / "vggsound.csv", f"{ID},x,dog,test\n{OTHER},0,dog,train\n", "vggsound")
    assert [bool(row.problem) for row in rows] == [True, False]
    rows = read(tmp_path / "Annotations.txt", f"Dog&{ID}&good\nDog&{OTHER}&good&0&10\n", "ave")
    assert [bool(row.problem) for row in rows] == [True, False]


def test_rows_like_vggsounds_under_a_header_are_not_vggsounds(tmp_path: Path) -> None:
    row = f"{ID},30,dog,train\n"
    read(tmp_path / "avel.csv", f"video_id,start,category,split\n{row}", "avel")
    read(tmp_path / "list.csv", f"youtube_id,start,label,split\n{row}", "csv")


# -- AVE ---------------------------------------------------------------------------------------------------------------
def test_ave(tmp_path: Path) -> None:
    rows = read(
        tmp_path / "Annotations.txt",
        "Category&VideoID&Quality&StartTime&EndTime\n"
        f"Church bell&{ID}&good&1&4\nDog&{ID}&good&0&0\nDog&{ID}&good&5&3\nDog&{ID}&good&0&11\nDog&{ID}&good&0\n"
        f"Dog&{ID}x&good&0&10\n&{ID}&good&0&10\nDog&{ID}&good&a&10\n\nDog&{OTHER}&good&0&10\n",
        "ave",
    )
    assert rows[0].values == {
        "youtube_id": ID,
        "start": None,
        "end": None,
        "labels": ["Church bell"],
        "quality": "good",
        "event_start_s": 1,
        "event_end_s": 4,
    }
    assert rows[-1].values["youtube_id"] == OTHER
    assert [p.partition(":")[0] for p in problems(rows)] == [f"line {n}" for n in range(3, 10)]
    assert "an event of 0 s" in problems(rows)[0]


def test_ave_without_a_header(tmp_path: Path) -> None:
    (row,) = read(tmp_path / "trainSet.txt", f"Dog&{ID}&good&0&10\n", "ave")
    assert row.number == 0
    assert row.values["event_end_s"] == 10


def test_aves_times_come_from_audiosets_list_beside(tmp_path: Path) -> None:
    (tmp_path / "eval_segments.csv").write_text(
        "# Segments csv created Sun Mar  5 10:54:25 2017\n# num_ytids=3\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        f'{OTHER}, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n{ID}, x, 40.000, "/m/09x0r"\n'
        f'{ID}, 0.000, 8.000, "/m/09x0r"\n{OTHER}, 50, 60, x\n'
    )
    rows = read(
        tmp_path / "Annotations.txt", f"Dog&{OTHER}&good&0&10\nDog&{ID}&good&0&8\nDog&AAAAAAAAAAA&good&0&8\n", "ave"
    )
    assert [(row.values["start"], row.values["end"]) for row in rows] == [(30, 40), (0, 8), (None, None)]


def test_aves_published_file_is_read_whole() -> None:
    found = list(ave.events(needs.data("ave/Annotations.txt")))
    events = [event for _, event, _ in found if event is not None]
    assert (len(found), len(events)) == (4143, 4142)
    assert len({event.video for event in events}) == 4096
    assert len({event.category for event in events}) == 28
    assert [problem for *_, problem in found if problem] == ["line 27: an event of 0 s, from 0 to 0 s"]


# -- VGGSound-AVEL -----------------------------------------------------------------------------------------------------
def test_avel_takes_the_larger_start_of_the_category(tmp_path: Path) -> None:
    (tmp_path / "vggsound.csv").write_text(
        f"{ID},30,dog,train\n{ID},50,dog,test\n{ID},70,cat,train\n{OTHER},5,cow,train\n"
    )
    rows = read(
        tmp_path / "avel.csv",
        f"{AVEL_HEADER}dog,{ID},train\ncow,{ID},val\ncow,{OTHER},test\ncow,AAAAAAAAAAA,test\ncow,{ID},valid\ncow,x,val\n",
        "avel",
    )
    starts = [(row.values["start"], row.values["end"]) for row in rows if row.values]
    assert starts == [(50, 60), (70, 80), (5, 15), (None, None)]
    assert [p.partition(":")[0] for p in problems(rows)] == ["line 6", "line 7"]


def test_avel_with_a_start_of_its_own(tmp_path: Path) -> None:
    text = f"split,start,video_id,category\nval,12.5,{ID},dog\nval,,{OTHER}_000007,dog\nval,3,http://a.test/v.mp4,dog\nval,-1,{ID},dog\n"
    rows = read(tmp_path / "mine.csv", text, "avel")
    assert rows[0].values == {"youtube_id": ID, "start": 12.5, "end": 22.5, "labels": ["dog"], "avel_split": "val"}
    assert rows[1].values["start"] == 7
    assert rows[2].values["url"] == "http://a.test/v.mp4"
    assert len(problems(rows)) == 1


def test_a_general_list_with_addresses_is_not_avels(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("url,category,video_id,split\nhttp://a.test/v.mp4,dog,1,train\n")
    assert source_of(path).name == "csv"


# -- LLP ---------------------------------------------------------------------------------------------------------------
def test_llp(tmp_path: Path) -> None:
    rows = read(
        tmp_path / "AVVP_eval_audio.csv",
        f"{LLP_HEADER}{ID}_23_33\t0\t4\tSpeech\n{ID}_23_33\t6\t8\tFrying_(food),Speech\n{OTHER}_1_11\t9\t9\tDog\n"
        f"8DF2PxdT5tE_390_400\t9\t0\tDog\n17iGUal2M_10_20\t0\t10\tSinging\n{ID}_23_33\t0\t11\tDog\n{ID}\t0\t1\tDog\n",
        "llp",
    )
    assert rows[0].values == {"youtube_id": ID, "start": 23, "end": 33, "labels": ["Speech", "Frying_(food)"]}
    assert rows[1].values["youtube_id"] == "17iGUal2M"
    assert [problem.partition(": ")[2][:24] for problem in problems(rows)] == [
        "an event of 0 s, at 9 s",
        "the event ends at 0 s, b",
        "the event ends at 11 s o",
        f"'{ID}' names no clip"[:24],
    ]
    assert [row.number for row in rows] == list(range(6))


def test_llps_weak_list(tmp_path: Path) -> None:
    (row,) = read(tmp_path / "AVVP_train.csv", f"filename\tevent_labels\n{ID}_23_33\tSpeech,Dog\n", "llp")
    assert row.values["labels"] == ["Speech", "Dog"]


# -- ingest ------------------------------------------------------------------------------------------------------------
def test_all_of_them_become_candidates(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox" / "day"
    inbox.mkdir(parents=True)
    (inbox / "Annotations.txt").write_text(f"Dog&{ID}&good&1&4\nCat&{ID}&good&5&6\nDog&{OTHER}&good&0&0\n")
    (inbox / "vggsound.csv").write_text(f"{ID},30,dog,train\n")
    (inbox / "weak.csv").write_text(f"filename\tevent_labels\n{OTHER}_5_15\tDog\n17iGUal2M_10_20\tDog\n")
    (inbox / "avel.csv").write_text(f"{AVEL_HEADER}dog,{ID},train\n")
    settings = Settings(inbox=tmp_path / "inbox", lake=str(tmp_path / "lake"))
    lake = Lake(settings.lake)
    done = ingest("day", settings, lake)
    assert done["skipped"] == []
    assert (done["ok"], done["reasons"]) == (3, {"bad_row": 1, "bad_url": 1, "duplicate_row": 1})
    assert done["joined"] == 1  # AVE's second event of one video, of another category
    (table,) = Path(lake.full("ingest")).rglob("*.parquet")
    rows = [row for row in pq.read_table(table).to_pylist() if row["outcome"] == "ok"]
    video, other = sid("video", f"youtube:{ID}"), sid("video", f"youtube:{OTHER}")
    assert {(row["source"], row["sample_id"], row["url"][-11:]) for row in rows} == {
        ("ave", candidate_id(video, None, None), ID),
        ("avel", candidate_id(video, 30, 40), ID),
        ("llp", candidate_id(other, 5, 15), OTHER),
    }
    assert {row["source_id"] for row in rows} == {ID, OTHER}


@pytest.mark.parametrize("reader", [ave.read, avel.read, llp.read, vggsound.read])
def test_no_bytes_make_a_reader_raise(reader, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    for data in (b"\xff\xfe\x00", b"\x00" * 100, b",,,,\n&&&&\n\t\t\t\n", b'"', b"a" * (3 << 20), b"\n\n"):
        path.write_bytes(data)
        for row in reader(path):
            assert row.values is None
            assert row.problem
