"""Segment labels in Label Studio's task format (labelstud.io): written for people to correct, read back.

A person marks stretches of the clip's sound and picture with `event`, or `audible` and `visible` apart, on a timeline
in seconds (CONFIG). What is already known travels along: proposals as predictions, answers of people as annotations;
read back they are the same rows. An annotation without a mark says that there is no event.

Label Studio refuses annotations of people whom it does not know, so an exported task names none (`completed_by`): its
data says in `annotated_by` whose they are, in their order. Read are the exports JSON and JSON-MIN, and the JSON of
releases before 1.0, whose annotations are called `completions`. An export's predictions are bare ids: they say nothing
and are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from winnow.annotations.segments import covered, runs

#: The labelling interface to paste into a project's settings.
CONFIG = """\
<View>
  <Header value="$category: mark the seconds in which you both hear and see it"/>
  <Video name="video" value="$media" sync="sound"/>
  <Labels name="event" toName="sound">
    <Label value="event"/>
    <Label value="audible"/>
    <Label value="visible"/>
  </Labels>
  <Audio name="sound" value="$media" sync="video"/>
</View>
"""
#: What a mark may say → the column that it marks.
MARKS = {"event": "labels", "audible": "audible", "visible": "visible"}
MAX_JSON_BYTES = 1 << 30
_DATA = ("sample_id", "family", "video", "start_s", "end_s", "category")
_PROPOSAL = "proposal:"
_WANTED = (
    "no task of Label Studio with its annotations: export as JSON or as JSON-MIN (not as CSV, TSV, COCO or another of "
    "its forms)"
)


def looks_like(head: str) -> bool:
    """Whether a JSON is a list of tasks."""
    keys = ('"data"', '"completions"', '"annotator"', '"annotation_id"')
    return head.lstrip().startswith("[") and any(key in head for key in keys)


def read(path: Path) -> Iterator[tuple[str, Mapping[str, object] | None, str | None]]:
    """(where, a row's values or None, problem) of every annotation that was not cancelled, and of every prediction."""
    if path.stat().st_size > MAX_JSON_BYTES:
        yield path.name, None, f"larger than {MAX_JSON_BYTES} bytes: export it in parts"
        return
    try:
        tasks = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        yield path.name, None, f"not JSON: {str(error)[:200]}"
        return
    for at, task in enumerate(tasks if isinstance(tasks, list) else []):
        where = f"task {task.get('id', at) if isinstance(task, dict) else at}"
        try:
            data, annotations = answers_of(task)
        except ValueError as error:
            yield where, None, str(error)
            continue
        about = {name: data.get(name) for name in _DATA}
        predictions = task.get("predictions") or []
        if not isinstance(predictions, list) or "annotator" in task:
            predictions = []
        said = [prediction for prediction in predictions if not isinstance(prediction, int)]
        for kind, answers in (("annotations", annotations), ("predictions", said)):
            for answer in answers:
                if isinstance(answer, dict) and answer.get("was_cancelled"):
                    continue
                try:
                    yield where, {**about, **_answer(answer, kind)}, None
                except ValueError as error:
                    yield where, None, str(error)


def answers_of(task: object) -> tuple[Mapping[str, object], list[object]]:
    """What a task says of its clip, and its annotations, of any export that is read; ValueError names those that are.

    An item of JSON-MIN is one annotation whose results stand beside the data, by the control that gave them."""
    if not isinstance(task, dict):
        raise ValueError(_WANTED)
    data = task.get("data")
    if isinstance(data, dict):
        found = task.get("annotations", task.get("completions", []))
        names = data.get("annotated_by")
        names = names if isinstance(names, list) else []
        annotations = found if isinstance(found, list) else [None]
        return data, [_of(answer, names[at] if at < len(names) else None) for at, answer in enumerate(annotations)]
    if "annotator" not in task and "annotation_id" not in task:
        raise ValueError(_WANTED)
    results = []
    for name, value in task.items():
        if isinstance(value, list):
            results += [{"from_name": name, "value": item} for item in value if isinstance(item, dict)]
        elif isinstance(value, dict):
            results.append({"from_name": name, "value": value})
        elif isinstance(value, str) and "screen" in f"{name} {value}".lower():  # a choice; other texts are data
            results.append({"from_name": name, "value": {"choices": [value]}})
    about = {"completed_by": task.get("annotator"), "created_at": task.get("created_at"), "result": results}
    return task, [{**about, "updated_at": task.get("updated_at")}]


def _of(answer: object, name: object) -> object:
    """An annotation with who gave it: as it says, as releases before 1.0 say, or as the task's data says."""
    if not isinstance(answer, dict) or answer.get("completed_by") is not None:
        return answer
    return {**answer, "completed_by": name if name is not None else answer.get("created_username")}


def instant_of(value: object) -> object:
    """A time as ISO 8601: releases before 1.0 write seconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e11:
        return value
    return datetime.fromtimestamp(value, UTC).isoformat()


def tasks(rows: Iterable[Mapping[str, object]], media: Callable[[Mapping[str, object]], str]) -> list[dict]:
    """Tasks of rows of the table `segment_label`, one per clip and category in their order; `media` gives the address
    under which Label Studio plays a row's clip. Rows that say what is audible or what is visible alone are left out."""
    found: dict[tuple[object, object], dict] = {}
    for row in rows:
        if row["labels"] is None:
            continue
        key = (row["sample_id"], row["category"])
        data = {"media": media(row), **{name: row[name] for name in _DATA}}
        task = found.setdefault(key, {"data": data, "annotations": [], "predictions": []})
        who = str(row["annotator_id"])
        result = [_region(track, run) for track in MARKS.items() for run in _shown(row, track[1])]
        if who.startswith(_PROPOSAL):
            task["predictions"].append({"model_version": who, "result": result})
        else:
            times = {"created_at": row["created_at"]} if row["created_at"] else {}
            task["annotations"].append({**times, "result": result})
            task["data"].setdefault("annotated_by", []).append(who)
    return list(found.values())


def write(path: Path, rows: Iterable[Mapping[str, object]], media: Callable[[Mapping[str, object]], str]) -> int:
    """Write tasks as a JSON to import into a project; how many."""
    made = tasks(rows, media)
    path.write_text(json.dumps(made, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return len(made)


def _shown(row: Mapping[str, object], column: str) -> list[tuple[int, int]]:
    """The runs of a track; the event's own are left out where audible and visible say them."""
    if column == "labels" and row["audible"] is not None and row["visible"] is not None:
        return []
    return runs(row[column] or ())  # type: ignore[arg-type]


def _region(track: tuple[str, str], run: tuple[int, int]) -> dict:
    value = {"start": run[0], "end": run[1], "channel": 0, "labels": [track[0]]}
    return {"id": f"{track[0]}{run[0]}", "type": "labels", "from_name": "event", "to_name": "sound", "value": value}


def _answer(answer: object, kind: str) -> dict[str, object]:
    """Who said when what, in the table's columns."""
    if not isinstance(answer, dict) or not isinstance(answer.get("result"), list):
        raise ValueError(f"one of its {kind} has no list of results")
    if kind == "predictions":
        version = str(answer.get("model_version") or "unknown")
        who: object = version if version.startswith(_PROPOSAL) else f"{_PROPOSAL}{version}"
        when = None
    else:
        who = answer.get("completed_by")
        who = (who.get("email") or who.get("id")) if isinstance(who, dict) else who
        when = instant_of(answer.get("created_at") or answer.get("updated_at"))
    marks: dict[str, list[tuple[float, float]]] = {}
    for result in answer["result"]:
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict) or not isinstance(said := value.get("labels"), list):
            continue
        for one in said:
            if str(one).lower() not in MARKS:
                raise ValueError(f"a mark says {str(one)[:40]!r}: {', '.join(MARKS)} are known")
            times: tuple[Any, Any] = (value.get("start"), value.get("end"))
            if any(isinstance(t, bool) or not isinstance(t, (int, float)) or not 0 <= t <= 1e7 for t in times):
                raise ValueError(f"a mark from {times[0]!r} to {times[1]!r}: seconds are wanted")
            marks.setdefault(MARKS[str(one).lower()], []).append((float(times[0]), float(times[1])))
    apart = {"audible", "visible"} & set(marks)
    if "labels" in marks or not apart:
        return {"annotator_id": who, "created_at": when, "labels": covered(marks.get("labels", []))}
    return {"annotator_id": who, "created_at": when, **{t: covered(marks.get(t, [])) for t in ("audible", "visible")}}
