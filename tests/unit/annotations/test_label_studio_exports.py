"""What comes back from Label Studio: JSON, JSON-MIN, and the JSON of releases before 1.0; and what goes to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from winnow.annotations import label_studio
from winnow.annotations.ratings import read_ratings
from winnow.annotations.segment_labels import read_labels, segment_label

ID = "a1b2c3d4e5f"
DATA = {"media": "x.mp4", "family": "avel", "video": ID, "start_s": 30.0, "end_s": 40.0, "category": "dog"}
MARK = {"start": 2, "end": 5, "channel": 0, "labels": ["event"]}
EVENT = [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]


def rows(folder: Path, tasks: object, read=read_labels) -> tuple[list[dict], list[str]]:
    path = folder / "export.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    found = list(read(path))
    return [row.values for row in found if row.values], [row.problem for row in found if row.problem]


def test_json_min_is_read(tmp_path: Path) -> None:
    about = {
        "id": 1,
        **DATA,
        "annotator": 3,
        "annotation_id": 9,
        "created_at": "2026-11-01T09:00:00Z",
        "lead_time": 2.5,
    }
    good, bad = rows(tmp_path, [{**about, "event": [MARK]}, {**about, "annotator": 4}])
    assert bad == []
    assert [(row["annotator_id"], row["labels"]) for row in good] == [("3", EVENT), ("4", [0] * 10)]
    assert good[0]["created_at"] == "2026-11-01T09:00:00.000000Z"


def test_completions_of_old_releases_are_read(tmp_path: Path) -> None:
    done = {"id": 1, "created_at": 1_600_000_000, "created_username": "ann", "result": [{"value": MARK}]}
    good, bad = rows(tmp_path, [{"id": 1, "data": DATA, "completions": [done, {**done, "was_cancelled": True}]}])
    assert bad == []
    assert [(row["annotator_id"], row["labels"], row["created_at"]) for row in good] == [
        ("ann", EVENT, "2020-09-13T12:26:40.000000Z")
    ]


def test_predictions_that_are_bare_ids_say_nothing(tmp_path: Path) -> None:
    done = {"completed_by": 1, "result": [{"value": MARK}]}
    good, bad = rows(tmp_path, [{"id": 1, "data": DATA, "annotations": [done], "predictions": [11, 12]}])
    assert (len(good), bad) == (1, [])


@pytest.mark.parametrize("task", [{"id": 2}, {"id": 2, "data": [1]}, 7, "x"])
def test_another_export_is_named_and_the_one_that_is_wanted(task: object, tmp_path: Path) -> None:
    first = {"id": 1, "data": DATA, "annotations": []}
    for read in (read_labels, read_ratings):
        _, [problem] = rows(tmp_path, [first, task], read)
        assert "export as JSON or as JSON-MIN" in problem


def test_an_exported_task_names_nobody_whom_label_studio_may_not_know(tmp_path: Path) -> None:
    given = {key: value for key, value in DATA.items() if key != "media"}
    labels = [segment_label({**given, "annotator_id": who, "labels": EVENT}) for who in ("ann", "bob@a.test", "7")]
    [task] = label_studio.tasks(labels, media=lambda row: "x.mp4")
    assert all("completed_by" not in answer for answer in task["annotations"])
    good, bad = rows(tmp_path, [task])
    assert bad == []
    assert [row["annotator_id"] for row in good] == ["ann", "bob@a.test", "7"]


def test_ratings_of_json_min(tmp_path: Path) -> None:
    about = {"sample_id": "0" * 20, "annotator": 3, "annotation_id": 9, "license": "none"}
    tasks = [
        {**about, "onscreen": "yes", "offscreen": "no"},
        {**about, "sound": {"choices": ["on-screen", "off-screen"]}},
        {**about, "sound": "on-screen"},
        about,
    ]
    good, bad = rows(tmp_path, tasks, read_ratings)
    assert [(row["onscreen_present"], row["offscreen_present"]) for row in good] == [
        (True, False),
        (True, True),
        (True, False),
    ]
    assert len(bad) == 1
    assert "no choice answers" in bad[0]
