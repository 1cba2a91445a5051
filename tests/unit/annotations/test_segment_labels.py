"""Segment labels: what is read of every published form and of people's answers, and what is refused."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winnow.annotations import avel_splits, label_studio
from winnow.annotations.segment_labels import read_labels, segment_label, write_csv
from winnow.annotations.segments import SEGMENTS, covered, runs
from winnow.core import corpus_table
from winnow.core.sample import clip_id, sid
from winnow.sources import youtube_clips

ID, OTHER = "AbCdEfGhIjK", "-b_dEfGhI-_"
TEN = [0, 1, 1, 1, 1, 1, 0, 1, 1, 1]
repeatable = settings(deadline=None, derandomize=True, max_examples=100)


def good(path: Path) -> list[dict]:
    return [row.values for row in read_labels(path) if row.values is not None]


def bad(path: Path) -> list[str]:
    return [row.problem for row in read_labels(path) if row.values is None]


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array))
    return file.getvalue()


# -- segments ----------------------------------------------------------------------------------------------------------
def test_intervals_mark_the_seconds_that_they_cover_half_of() -> None:
    assert covered([(1, 6), (7, 10)]) == TEN
    assert covered([(0.5, 1.49)]) == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert covered([(2, 2.3), (2.1, 2.4)]) == [0] * 10
    assert covered([(2, 2.3), (2.3, 2.5)]) == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert covered([(9.5, 99)]) == [0] * 9 + [1]
    assert runs(TEN) == [(1, 6), (7, 10)]


@repeatable
@given(st.lists(st.integers(0, 1), min_size=SEGMENTS, max_size=SEGMENTS))
def test_labels_are_their_intervals(labels: list[int]) -> None:
    assert covered(runs(labels)) == labels


# -- one row -----------------------------------------------------------------------------------------------------------
def test_a_row() -> None:
    row = segment_label({"video": ID, "start_s": 30, "category": "dog", "annotator_id": "p", "labels": TEN})
    video = sid("video", f"youtube:{ID}")
    assert row["sample_id"] == clip_id(video, 30, 40)
    assert (row["family"], row["video_id"], row["end_s"]) == ("avel", video, 40)
    assert set(row) == set(corpus_table.TABLES["segment_label"].columns)
    both = segment_label({**row, "labels": None, "audible": [1] * 10, "visible": TEN})
    assert both["labels"] == TEN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [1] * 9}, "9 values"),
        ({"labels": [2] + [0] * 9}, "hold '2'"),
        ({"labels": None}, "of no second"),
        ({"labels": [1] * 10, "audible": [1] * 10, "visible": [0] * 10}, "both audible and visible"),
        ({"family": "x"}, "none of ave"),
        ({"category": ""}, "category is missing"),
        ({"annotator_id": None}, "annotator_id is missing"),
        ({"end_s": 30}, "not after its start"),
        ({"start_s": "x"}, "seconds"),
        ({"start_s": "nan"}, "seconds"),
        ({"sample_id": "x"}, "no id of a clip"),
        ({"sample_id": "0" * 20}, "not the clip"),
        ({"video": None}, "names no clip"),
        ({"video": "file:///etc/passwd"}, "may not name"),
        ({"category": "a\x00b"}, "control characters"),
        ({"created_at": "yesterday"}, "ISO 8601"),
        ({"category": ["a"]}, "list"),
    ],
)
def test_what_is_no_row(change: dict, message: str) -> None:
    given_ = {"video": ID, "start_s": 30, "category": "dog", "annotator_id": "p", "labels": TEN, **change}
    with pytest.raises(Exception, match=message) as refused:
        segment_label(given_)
    assert type(refused.value).__name__ in ("ValueError", "SampleFailed")


# -- published forms ---------------------------------------------------------------------------------------------------
def test_ave(tmp_path: Path) -> None:
    path = tmp_path / "Annotations.txt"
    path.write_text(f"Church bell&{ID}&good&1&4\nDog&{ID}&good&0&0\n")
    (row,) = good(path)
    assert (row["family"], row["category"], row["start_s"], row["labels"]) == (
        "ave",
        "Church bell",
        None,
        [0, 1, 1, 1, 0, 0, 0, 0, 0, 0],
    )
    assert row["sample_id"] == youtube_clips.sample_id(ID, None, None)
    (tmp_path / "audioset.csv").write_text(f"# YTID, start_seconds, end_seconds, positive_labels\n{ID}, 30, 40, a\n")
    assert good(path)[0]["sample_id"] == clip_id(sid("video", f"youtube:{ID}"), 30, 40)
    assert bad(path) == ["line 2: an event of 0 s, from 0 to 0 s"]


def test_llp(tmp_path: Path) -> None:
    header = "filename\tonset\toffset\tevent_labels\n"
    audio = tmp_path / "AVVP_eval_audio.csv"
    audio.write_text(
        f"{header}{ID}_23_33\t0\t4\tDog\n{ID}_23_33\t6\t8\tDog\n{ID}_23_33\t9\t9\tDog\n17iGU_1_11\t0\t1\tDog\n"
    )
    first, short = good(audio)
    assert (first["audible"], first["visible"], first["labels"]) == ([1, 1, 1, 1, 0, 0, 1, 1, 0, 0], None, None)
    assert (first["start_s"], first["end_s"]) == (23, 33)
    assert short["video"] == "17iGU"
    assert bad(audio) == ["line 4: an event of 0 s, at 9 s"]
    pictures = tmp_path / "AVVP_eval_visual.csv"
    pictures.write_text(f"{header}{ID}_23_33\t2\t4\tDog\n")
    (seen,) = good(pictures)
    assert (seen["audible"], seen["visible"]) == (None, [0, 0, 1, 1, 0, 0, 0, 0, 0, 0])
    unnamed = tmp_path / "eval.csv"
    unnamed.write_text(audio.read_text())
    assert "does not say whether" in bad(unnamed)[0]
    weak = tmp_path / "AVVP_train.csv"
    weak.write_text(f"filename\tevent_labels\n{ID}_23_33\tDog\n")
    assert "a list of whole clips" in bad(weak)[0]


def test_avels_json_takes_category_and_start_from_the_lists_beside(tmp_path: Path) -> None:
    path = tmp_path / "vggsound-avel50k_labels.json"
    third, key = "AAAAAAAAAAA", "BBBBBBBBBBB"
    value = [{ID: {"label": TEN}}, {OTHER: TEN}, {third: TEN}, {f"{key}_000004": {"dog": TEN, "cat": [0] * 10}}, [1]]
    path.write_text(json.dumps(value))
    (tmp_path / "vggsound-avel50k.csv").write_text(f"category,video_id,split\ndog,{ID},train\n")
    (tmp_path / "vggsound.csv").write_text(f"{ID},30,dog,train\n{ID},50,dog,train\n{ID},70,cow,train\n")
    (tmp_path / "video_label_dict.json").write_text(json.dumps({OTHER: "cow"}))
    rows = good(path)
    assert [(row["video"], row["category"], row["start_s"], row["labels"]) for row in rows] == [
        (ID, "dog", 50, TEN),
        (OTHER, "cow", None, TEN),
        (key, "dog", 4, TEN),
        (key, "cat", 4, [0] * 10),
    ]
    first, second = bad(path)
    assert "no category known for AAAAAAAAAAA" in first
    assert "list where an object" in second


def test_own_clips_are_named_by_their_id(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    own = {"label": TEN, "category": "dog", "sample_id": "0" * 20}
    path.write_text(json.dumps([{"inbox:day/v.mp4_000030": own}, {"inbox:day/w.mp4": TEN}]))
    (row,) = good(path)
    assert (row["sample_id"], row["video"], row["labels"]) == ("0" * 20, None, TEN)
    assert "names no clip" in bad(path)[0]


class _Bomb:
    def __reduce__(self):
        return (print, ("a pickle was opened",))


def test_a_zip_of_labels_and_what_is_refused_in_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "label_video_dict.json").write_text(json.dumps({"dog": [ID, OTHER, "AAAAAAAAAAA", "CCCCCCCCCCC"]}))
    one_hot = np.zeros((10, 3), int)
    one_hot[np.arange(10), [2, 0, 0, 0, 0, 0, 2, 0, 0, 0]] = 1
    path = zipped(
        tmp_path / "labels.zip",
        **{
            f"{ID}.npy": npy(TEN),
            f"a/{OTHER}.json": json.dumps({"label": TEN}).encode(),
            "AAAAAAAAAAA_000010.csv": ",".join(map(str, TEN)).encode(),
            "CCCCCCCCCCC_label.npy": npy(one_hot),
            "labels.pkl": pickle.dumps(_Bomb()),
            "object.npy": npy(np.array([_Bomb()] * 10, dtype=object)),
            f"{ID}_000001.npy": npy(np.zeros((10, 128))),
            f"{ID}_000002.npy": npy([0.5] * 10),
            "big.npy": b"\x00" * (2 << 20),
            "../../evil.npy": npy(TEN),
            "note.txt": b"x",
        },
    )
    rows = good(path)
    assert [(row["video"], row["start_s"]) for row in rows] == [
        (ID, None),
        (OTHER, None),
        ("AAAAAAAAAAA", 10),
        ("CCCCCCCCCCC", None),
        (ID, 1),
    ]
    assert [row["labels"] for row in rows] == [TEN] * 4 + [[0] * 10]
    said = "\n".join(bad(path))
    assert "a pickle, which runs code" in said
    refused = {
        "object.npy": "allow_pickle",
        "big.npy": "bytes",
        "evil": "named",
        "note.txt": "no labels",
        "000002": "0 or",
    }
    for name, why in refused.items():
        assert any(name in line and why in line for line in said.splitlines()), (name, said)
    assert "a pickle was opened" not in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["label_video_dict.json", "labels.zip"]


def test_a_folder_of_one_zip_per_video(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"category,video_id,split\ndog,{ID},train\n")
    (tmp_path / "vggsound.csv").write_text(f"{ID},30,dog,train\n")
    zipped(tmp_path / f"{ID}.zip", **{"labels.npy": npy(TEN), "audio.pkl": b"x"})
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    (row,) = good(tmp_path)
    assert (row["video"], row["start_s"], row["labels"], row["source"]) == (ID, 30, TEN, f"{ID}.zip")
    assert len(bad(tmp_path)) == 2


BROKEN = (
    b"",
    b"\xff\xfe\x00",
    b"[[[",
    b"[" * 100_000,
    b'[{"data": 1}]',
    b"{}",
    b"null",
    b'[{"a": null}]',
    b"&&&&\n",
    b'[{"data": {}, "annotations": [1], "predictions": 3}]',
    b'[{"AbCdEfGhIjK": {"label": [{}]}}]',
)


def test_no_bytes_make_the_reader_raise(tmp_path: Path) -> None:
    for name in ("a.json", "a.csv", "a.zip", "Annotations.txt", "AVVP_eval_audio.csv"):
        for data in BROKEN:
            (tmp_path / name).write_bytes(data)
            assert all(row.values is None and row.problem for row in read_labels(tmp_path / name))


# -- people ------------------------------------------------------------------------------------------------------------
def answers() -> list[dict]:
    about = {"video": ID, "start_s": 30, "category": 'dog, "big"'}
    return [
        segment_label(
            {**about, "annotator_id": "ann@a.test", "labels": TEN, "created_at": "2026-11-01T10:00:00+01:00"}
        ),
        segment_label({**about, "annotator_id": "bob", "audible": [1] * 10, "visible": TEN}),
        segment_label({**about, "annotator_id": "proposal:0123", "labels": [0] * 10}),
        segment_label({"sample_id": "0" * 20, "category": "cow", "annotator_id": "bob", "labels": [1] + [0] * 9}),
    ]


@pytest.mark.parametrize("name", ["labels.csv", "tasks.json"])
def test_what_is_written_for_people_is_read_back(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith(".csv"):
        assert write_csv(path, answers()) == 4
    else:
        assert label_studio.write(path, answers(), media=lambda row: f"/media/{row['sample_id']}.mp4") == 2
    assert bad(path) == []
    expected = [{**row, "source": name} for row in answers()]
    assert sorted(good(path), key=str) == sorted(expected, key=str)


def test_a_csv_of_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    columns = ["YouTube ID", "Start", "Label", "Annotator", *(f"second {n}" for n in range(10))]
    lines = [[ID, "30", "dog", "ann", *TEN], [ID, "30", "dog", "", *TEN], [ID, "30", "dog", "ann", *TEN[:9], "2"], [ID]]
    path.write_text("\n".join(";".join(map(str, line)) for line in (columns, *lines)))
    (row,) = good(path)
    assert (row["labels"], row["annotator_id"]) == (TEN, "ann")
    assert [problem.partition(":")[0] for problem in bad(path)] == ["line 3", "line 4", "line 5"]
    path.write_text("a,b\n1,2\n")
    assert "no table of segment labels" in bad(path)[0]


def test_label_studios_export(tmp_path: Path) -> None:
    def mark(start: float, end: float, *labels: str) -> dict:
        return {"type": "labels", "value": {"start": start, "end": end, "labels": list(labels)}}

    data = {"media": "x", "video": ID, "start_s": 30, "category": "dog"}
    done = [
        {
            "completed_by": {"id": 3, "email": "ann@a.test"},
            "created_at": "2026-11-01T10:00:00Z",
            "result": [mark(1.2, 5.7, "event"), mark(7.4, 9.9, "event"), {"value": {"choices": ["x"]}}],
        },
        {"completed_by": 4, "result": []},
        {"completed_by": 5, "result": [mark(0, 3, "audible"), mark(2, 4, "visible")]},
        {"completed_by": 6, "was_cancelled": True, "result": []},
        {"completed_by": 7, "result": [mark(0, 3, "noise")]},
        {"completed_by": 8, "result": [mark("0", 3, "event")]},
    ]
    path = tmp_path / "export.json"
    path.write_text(json.dumps([{"id": 1, "data": data, "annotations": done}, {"id": 2}]))
    rows = {row["annotator_id"]: row for row in good(path)}
    assert rows["ann@a.test"]["labels"] == [0, 1, 1, 1, 1, 1, 0, 1, 1, 1]
    assert rows["4"]["labels"] == [0] * 10
    assert (rows["5"]["audible"], rows["5"]["labels"]) == ([1] * 3 + [0] * 7, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    assert set(rows) == {"ann@a.test", "4", "5"}
    assert len(bad(path)) == 3


# -- given splits ------------------------------------------------------------------------------------------------------
def test_given_splits(tmp_path: Path) -> None:
    import h5py

    def keys(name: str, text: str = "") -> tuple[list, int]:
        path = tmp_path / name
        if text:
            path.write_text(text)
        with path.open("rb") as file:
            assert avel_splits.looks_like(path, file.read(1000).decode("utf-8", "replace"))
        rows = list(avel_splits.read_splits(path))
        taken = [(r.values["family"], r.values["key"], r.values["split"]) for r in rows if r.values]
        assert all(r.values["source"] == name for r in rows if r.values)
        return taken, sum(r.values is None for r in rows)

    assert keys("list.csv", f"category,video_id,split\ndog,{ID},val\ndog,{OTHER}_000030,test\ndog,{ID},x\n") == (
        [("avel", ID, "val"), ("avel", f"{OTHER}_000030", "test")],
        1,
    )
    annotations = f"Dog&{ID}&good&0&4\nDog&{OTHER}&good&0&0\nCat&{ID}&good&0&4\n"
    assert keys("valSet.txt", annotations) == ([("ave", f"{ID}&Dog", "val"), ("ave", f"{ID}&Cat", "val")], 1)
    assert keys("AVVP_test_pd.csv", f"filename\tevent_labels\n{ID}_30_40\tDog\n") == (
        [("llp", f"{ID}_000030", "test")],
        0,
    )
    (tmp_path / "Annotations.txt").write_text(annotations)
    for name, rows in (("train_order.h5", [2, 1, 9]), ("test_order.h5", [0.5])):
        with h5py.File(tmp_path / name, "w") as file:
            file["order"] = rows
    assert keys("train_order.h5") == ([("ave", f"{ID}&Cat", "train")], 2)
    assert keys("test_order.h5") == ([], 1)
    assert not avel_splits.looks_like(tmp_path / "Annotations.txt", annotations)
    assert not avel_splits.looks_like(tmp_path / "AVVP_eval_audio.csv", "filename\tonset\toffset\tevent_labels\n")
