"""Lists as the field writes them: what each published form means, told from its columns and their content.

Every input is made up; the forms are those of the datasets that the cases name.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.unit.batch.lists import ID, OTHER, URL, ingested

CLIP = (ID, 30.0, 40.0)
PUBLISHED = {
    "kinetics": ("k.csv", f'label,youtube_id,time_start,time_end,split\n"dog",{ID},30,40,train\n', [CLIP]),
    "webvid": (
        "results_2M_train.csv",
        f"videoid,contentUrl,duration,page_dir,name\n1066674784,{URL},PT00H00M17S,000001_000050,Aerial\n",
        [(URL, None, None)],
    ),
    "internvid": (
        "i.jsonl",
        {"YoutubeID": ID, "Start_timestamp": "00:00:30.000", "End_timestamp": "00:00:40.000", "Caption": "a"},
        [CLIP],
    ),
    "hd-vila": (
        "h.jsonl",
        {
            "video_id": ID,
            "url": f"https://www.youtube.com/watch?v={ID}",
            "clip": [
                {"clip_id": f"{ID}.1.mp4", "span": ["00:00:30.000", "00:00:40.000"]},
                {"clip_id": f"{ID}.2.mp4", "span": ["00:04:52.140", "00:05:03.350"]},
            ],
        },
        [CLIP, (ID, 292.14, 303.35)],
    ),
    "video2dataset": (
        "v.parquet",
        pa.table({"videoID": ["1"], "videoLoc": [URL], "clips": [[[3.0, 8.0], [9.5, 12.0]]]}),
        [(URL, 3.0, 8.0), (URL, 9.5, 12.0)],
    ),
    "avspeech": ("avspeech_train.csv", f"{ID},30.0,40.0,0.58,0.31\n{ID},30.0,40.0,0.58,0.31\n", [CLIP]),
    "desed": ("d.tsv", f"youtube_id\tonset\toffset\tevent_label\n{ID}\t30.0\t40.0\tDog\n", [CLIP]),
    "vggsounder": ("v.csv", f"video_id,label,modality\n{ID}_000030,dog,AV\n", [CLIP]),
    "vgg-ss": ("s.json", [{"file": f"{ID}_000030", "class": "dog", "bbox": [[0.1, 0.2, 0.3, 0.4]]}], [CLIP]),
    "music": ("m.json", {"videos": {"flute": [ID], "tuba": [OTHER]}}, [(ID, None, None), (OTHER, None, None)]),
    "audiocaps": ("a.csv", f"audiocap_id,youtube_id,start_time,caption\n7,{ID},30,A dog\n", [CLIP]),
    "llp": ("AVVP_train.csv", f"filename\tevent_labels\n{ID}_24.5_34.5\tSpeech\n", [(ID, 24.5, 34.5)]),
    "audioset strong": (
        "s.tsv",
        f"segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n{ID}_30000\t0.5\t2.5\t/m/a\n",
        [CLIP],
    ),
    "activitynet captions": (
        "n.json",
        {f"v_{ID}": {"duration": 82.7, "timestamps": [[30, 40], [41, 60.5]], "sentences": ["One", "Two"]}},
        [CLIP, (ID, 41.0, 60.5)],
    ),
    "activitynet": (
        "d.json",
        {
            "version": "1.3",
            "database": {ID: {"duration": 82.7, "annotations": [{"segment": [30, 40], "label": "dog"}]}},
        },
        [CLIP],
    ),
    "vatex": ("x.json", [{"videoID": f"{ID}_000030_000040", "enCap": ["One", "Two"]}], [CLIP]),
    "msr-vtt": (
        "r.json",
        {
            "info": {"year": "2016"},
            "videos": [
                {
                    "url": f"https://www.youtube.com/watch?v={ID}",
                    "video_id": "video0",
                    "start time": 30,
                    "end time": 40,
                    "category": 9,
                    "id": 0,
                }
            ],
            "sentences": [{"caption": text, "video_id": "video0"} for text in ("One", "Two")],
        },
        [CLIP],
    ),
    "acav": ("output.csv", f'shard-000000,{ID}_030.mp4,{ID},"[30, 40]"\r\n', [CLIP]),
    "ids": ("ids.csv", f"{ID}\n{OTHER}\n", [(ID, None, None), (OTHER, None, None)]),
    "addresses": ("urls.txt", f"{URL}?a\n{URL}?b\n", [(f"{URL}?a", None, None), (f"{URL}?b", None, None)]),
    "ids in json lines": ("j.jsonl", f'"{ID}_30_40"\n', [CLIP]),
    "lists in cells": (
        "c.csv",
        f"url,timestamp,caption\n{URL},\"[['0:03', '0:08'], ['0:09', '0:12']]\",\"['one', 'two']\"\n",
        [(URL, 3.0, 8.0), (URL, 9.0, 12.0)],
    ),
    "files with times": ("f.csv", f"path,onset,offset\n{ID}_000030.mp4,32,35\n", [(ID, 32.0, 35.0)]),
    "excel": ("e.csv", f"sep=;\r\nurl;start;end\r\n{URL};30;40\r\n", [(URL, 30.0, 40.0)]),
    "json lines called json": (
        "l.json",
        f'{{"url": "{URL}"}}\n{{"url": "{URL}?b"}}\n',
        [(URL, None, None), (f"{URL}?b", None, None)],
    ),
}


@pytest.mark.parametrize("form", PUBLISHED)
def test_published_forms(form: str, tmp_path: Path) -> None:
    name, content, wanted = PUBLISHED[form]
    day = ingested(tmp_path, {name: content})
    assert day.refused == ""
    assert day.windows == wanted
    assert day.list(name)["bad"] == 0


def test_what_is_beside_the_times_stays_with_its_clip(tmp_path: Path) -> None:
    names = ("internvid", "webvid", "activitynet captions", "msr-vtt", "music", "activitynet")
    day = ingested(tmp_path, {PUBLISHED[name][0]: PUBLISHED[name][1] for name in names})
    by = {(row["list_path"], row["list_row"]): row for row in day.rows}
    assert '"Caption":"a"' in by["i.jsonl", 0]["extra"]
    assert by["results_2M_train.csv", 0]["duration_s"] == 17.0
    assert by["results_2M_train.csv", 0]["source_id"] == "1066674784"
    assert [by["n.json", n]["extra"] for n in (0, 1)] == ['{"sentences":"One"}', '{"sentences":"Two"}']
    assert '"caption":["One","Two"]' in by["r.json", 0]["extra"]
    assert (by["m.json", 0]["labels"], by["m.json", 1]["labels"]) == (["flute"], ["tuba"])
    assert by["d.json", 0]["labels"] == ["dog"]


# -- times under any name ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("start,end", "3,8"),
        ("begin,finish", "3,8"),
        ("from,to", "3,8"),
        ("t0,t1", "3,8"),
        ("onset,offset", "3,8"),
        ("startTime,endTime", "3,8"),
        ("tstart,tend", "3,8"),
        ("Start (s),Stop (s)", "3,8"),
        ("start_ms,end_ms", "3000,8000"),
        ("beginMs,endMs", "3000,8000"),
        ("Start (ms),Duration (ms)", "3000,5000"),
        ("start,duration", "3,5"),
        ("begin,length_sec", "3,5"),
        ("start,end", "0:03,00:00:08.000"),
        ("start,end", "PT3S,PT8S"),
        ("von,bis", "0:03,0:08"),
        ("segment", '"[3, 8]"'),
        ("timestamp", "0:03-0:08"),
        ("clips", '"[[3, 8]]"'),
        ("end,start", "8,3"),
    ],
)
def test_times_are_told_by_name_and_content(header: str, cells: str, tmp_path: Path) -> None:
    day = ingested(tmp_path, {"a.csv": f"url,{header}\n{URL},{cells}\n"})
    assert day.windows == [(URL, 3.0, 8.0)], day.refused


def test_whole_milliseconds_that_nobody_named_are_said(tmp_path: Path) -> None:
    day = ingested(tmp_path, {"a.csv": f"url,start,end\n{URL},30000,40000\n{URL}?b,65000,75000\n"})
    assert day.windows[0] == (URL, 30.0, 40.0)
    assert day.list("a.csv")["inferred"]["start"] == "milliseconds, by its content"


def test_a_length_is_one_only_without_an_end(tmp_path: Path) -> None:
    lists = {"a.csv": f"url,start,end,duration\n{URL},3,8,60\n", "b.csv": f"url,duration\n{URL}?b,60\n"}
    day = ingested(tmp_path, lists)
    assert day.windows == [(URL, 3.0, 8.0), (f"{URL}?b", None, None)]
    assert [row["duration_s"] for row in day.rows] == [60.0, 60.0]


def test_rows_that_lack_a_column_do_not_change_what_it_means(tmp_path: Path) -> None:
    rows = ['{"url": "%s", "start": 3, "end": 8, "duration": 60}', '{"url": "%s?b", "start": 3, "duration": 60}']
    day = ingested(tmp_path, {"a.jsonl": "\n".join(rows) % (URL, URL)})
    assert day.windows == [(URL, 3.0, 8.0), (f"{URL}?b", 3.0, None)]


# -- what stops a list -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"url,moment\n{URL},0:30\n", "the column 'moment' looks like a time ('0:30'), and nothing used it"),
        (f"url,time\n{URL},30\n", "the column 'time' looks like a time"),
        (f"url,start,closing\n{URL},0:03,0:08\n", "the column 'closing' looks like a time"),
        (f"url,start_frame,end_frame\n{URL},75,200\n", "the column 'start_frame' looks like a time"),
        (f"{ID},30,dog\n{OTHER},10,cat\n", "the column 'column 2' looks like a time"),
        (f"a,b\n{URL},{URL}?b\n", "the columns 'a' and 'b' each look like an address"),
        ("title,name\na,b\n", "no column names a video (found 'title' ('a'), 'name' ('b'))"),
        ("file,start,end\ngone.mp4,1,2\n", "names of media files that lie beside the list"),
    ],
)
def test_what_is_not_understood_stops_its_list_and_no_other(text: str, sentence: str, tmp_path: Path) -> None:
    day = ingested(tmp_path, {"bad.csv": text, "good.csv": f"url\n{URL}\n"})
    assert day.refused.splitlines()[1].startswith("  bad.csv: ")
    assert sentence in day.refused
    assert "nothing was read of 1 of 2 lists" in day.refused
    assert [row["list_path"] for row in day.rows] == ["good.csv"]


def test_what_came_of_every_list_is_said_where_one_is_refused(tmp_path: Path) -> None:
    bad, good = "url,moment\n{0},0:30\n", "url,start,end,speed,caption\n{0},1,2,3,a\n{0},1,2,3,b\n"
    lists = {"bad.csv": bad.format(URL), "good.csv": good.format(URL), "s.jsonl": {"youtube_id": ID}}
    for computed in (True, False):  # the second time everything stands
        day = ingested(tmp_path, lists)
        assert (day.done["computed"], day.done["rows"], day.done["joined"]) == (computed, 2, 1)
        assert "refused" not in day.list("good.csv")
        assert day.list("bad.csv")["refused"] in day.refused
        said = day.list("good.csv")
        assert (said["format"], said["extra"], said["joined"]) == ("csv", ["speed", "caption"], 1)
        assert said["columns"] == {"video": "url", "start": "start", "end": "end"}
        assert day.list("s.jsonl")["columns"]["video"] == "youtube_id"
        assert day.refused.splitlines()[-1] == "Nothing was read of: bad.csv"


def test_a_list_that_was_refused_is_refused_again_until_its_settings_help(tmp_path: Path) -> None:
    lists = {"a.csv": f"url,moment\n{URL},0:30\n", "b.csv": f"url\n{URL}?b\n"}
    assert ingested(tmp_path, lists).refused
    assert ingested(tmp_path, lists).refused
    day = ingested(tmp_path, {**lists, "a.csv.toml": 'extra = ["moment"]\n'})
    assert day.refused == ""
    assert day.windows == [(URL, None, None), (f"{URL}?b", None, None)]


def test_a_list_whose_every_row_is_broken_is_an_error_too(tmp_path: Path) -> None:
    day = ingested(tmp_path, {"a.jsonl": "[\n{}]\n", "b.csv": f"url\n{URL}\n"})
    assert "none of its 2 rows could be read; the first: line 1" in day.refused
    assert len(day.windows) == 1


def test_a_column_that_is_named_for_it_may_hold_flaws(tmp_path: Path) -> None:
    text = f"youtube_id,n\n00000000003,1\nN/A,2\ngone,3\n{ID},4\n,5\n"
    day = ingested(tmp_path, {"a.csv": text, "b.csv": f"url\nsee my profile\nnone\n{URL}\n"})
    assert [w[0] for w in day.windows] == ["00000000003", ID, URL]
    assert day.done["reasons"] == {"bad_url": 4, "missing_url": 1}


@pytest.mark.parametrize("name", ["a.xlsx", "deep/b.CSV.gz", "c.jsonl.zip"])
def test_a_list_in_a_form_that_is_not_read_is_an_error(tmp_path: Path, name: str) -> None:
    day = ingested(tmp_path, {name: b"PK", "photos.zip": b"PK", "z.csv": f"url\n{URL}\n"})
    assert f"{name}: a {'spreadsheet: save it as CSV' if 'xlsx' in name else 'list that is compressed: unpack it'}" in (
        day.refused
    )
    assert day.windows == [(URL, None, None)]


def test_labels_are_found_under_the_names_that_datasets_give_them(tmp_path: Path) -> None:
    kinetics = {ID: {"annotations": {"label": "dog", "segment": [30.0, 40.0]}, "subset": "training"}}
    day = ingested(tmp_path, {"k.json": kinetics, "d.tsv": f"youtube_id\tevent_label\n{OTHER}\tCat\n"})
    assert [row["labels"] for row in day.rows] == [["Cat"], ["dog"]]


def test_notes_are_no_list(tmp_path: Path) -> None:
    day = ingested(tmp_path, {"README.txt": f"Videos of dogs.\nSee {URL} and others.\n", "a.csv": f"url\n{URL}\n"})
    assert day.done["skipped"] == [
        "README.txt: neither a list (.csv .json .jsonl .ndjson .parquet .pq .tsv .txt) nor media"
    ]


# -- settings ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "settings", "wanted"),
    [
        (f"{ID},5,dog\n", "header = false\nclip_s = 10\n[columns]\nstart = 2\nlabels = 3\n", [(ID, 5.0, 15.0)]),
        (f"a,b\n{URL},{URL}?b\n", '[columns]\nvideo = "b"\n', [(f"{URL}?b", None, None)]),
        (f"url,start,end\n{URL},3000,8000\n", 'unit = "ms"\n', [(URL, 3.0, 8.0)]),
        (f"url^start^end\n{URL}^3^8\n", 'delimiter = "^"\n', [(URL, 3.0, 8.0)]),
        (f"url,x,y\n{URL},3,8\n", '[columns]\nstart = "x"\nend = "y"\n', [(URL, 3.0, 8.0)]),
        (f"url,x\n{URL},3\n", '[columns]\nlength = "x"\n', [(URL, None, None)]),
        (f"url,tag\n{URL},dog\n", '[columns]\nlabels = "tag"\n', [(URL, None, None)]),
    ],
)
def test_settings_say_what_content_does_not(text: str, settings: str, wanted: list, tmp_path: Path) -> None:
    day = ingested(tmp_path, {"a.csv": text, "a.csv.toml": settings})
    assert day.refused == ""
    assert day.windows == wanted
    if "labels" in settings:
        assert day.rows[0]["labels"] == ["dog"]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ("colums = {}\n", "unknown colums; known are format, delimiter"),
        ('[columns]\nbegin = "x"\n', "unknown columns.begin; known are video, start"),
        ('[columns]\nstart = "x"\n', "its settings name a column 'x' as start, which it has not"),
        ('unit = "hours"\n', "unit is 'hours'"),
        ('delimiter = ";;"\n', "delimiter is one character"),
        ("clip_s = -1\n", "clip_s is a number of seconds"),
        ('format = "xlsx"\n', "its settings name the format 'xlsx'; known are acav"),
        ("not toml", "its settings, a.csv.toml, are wrong"),
    ],
)
def test_wrong_settings_are_named(settings: str, what: str, tmp_path: Path) -> None:
    day = ingested(tmp_path, {"a.csv": f"url\n{URL}\n", "a.csv.toml": settings})
    assert day.refused.splitlines()[1].startswith("  a.csv: its settings")
    assert what in day.refused


def test_settings_set_a_list_aside_and_name_its_format(tmp_path: Path) -> None:
    files = {
        "a.csv": "x\n",
        "a.csv.toml": "ignore = true\n",
        "b.dat": f"url\n{URL}\n",
        "b.dat.toml": 'format = "csv"\n',
    }
    day = ingested(tmp_path, {**files, "c.csv.toml": "ignore = true\n"})
    assert day.windows == [(URL, None, None)]
    assert day.done["skipped"] == [
        "a.csv: its settings set it aside",
        "c.csv.toml: settings of a list that is not there",
    ]


# -- media beside the list ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("cell", ["clips/dog.mp4", "./clips/dog.mp4", "dog.mp4", "dog"])
def test_files_beside_a_list_are_its_videos_and_no_candidates_of_their_own(cell: str, tmp_path: Path) -> None:
    files = {"t/metadata.csv": f"file_name,label,start,end\n{cell},dog,1,3\n{cell},cat,4,6\n"}
    day = ingested(tmp_path, {**files, "t/clips/dog.mp4": b"a", "t/clips/cat.mp4": b"b"})
    place = "inbox:2026-11-01/t/clips"
    assert sorted(day.windows) == [
        (f"{place}/cat.mp4", None, None),
        (f"{place}/dog.mp4", 1.0, 3.0),
        (f"{place}/dog.mp4", 4.0, 6.0),
    ]
    dog = next(row for row in day.rows if row["labels"] == ["dog"])
    assert len(dog["content_sha256"]) == 64


def test_a_file_that_is_not_there_is_a_row_that_says_so(tmp_path: Path) -> None:
    day = ingested(tmp_path, {"metadata.csv": "file_name,text\na.mp4,one\n../b.mp4,two\n", "a.mp4": b"a"})
    assert [(row["outcome"], row["reason"]) for row in day.rows if row["list_path"] == "metadata.csv"] == [
        ("ok", None),
        ("failed", "missing_file"),
    ]


def test_local_ids_are_names_of_files(tmp_path: Path) -> None:
    text = (
        "annotation_id,video_id,start_timestamp,stop_timestamp,start_sample,stop_sample,class\n"
        "P01_01_0,P01_01,00:00:02.466,00:00:05.315,59184,127560,rustle\n"
    )
    day = ingested(tmp_path, {"EPIC_Sounds.csv": text, "videos/P01_01.MP4": b"a"})
    assert day.windows == [("inbox:2026-11-01/videos/P01_01.MP4", 2.466, 5.315)]
    assert day.rows[0]["labels"] == ["rustle"]
