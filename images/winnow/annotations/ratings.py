"""Ratings: is there sound of something on the screen, and is there sound of something off it? One answer of one person
about one clip.

AudioScope's labels are such answers (google-research/sound-separation, datasets/audioscope-v2: "unanimous" lists); how
many people were asked, and in which words, is not published. Read here: CSV with a header, and the JSON that Label
Studio exports (labelstud.io, task format). Both give rows of the corpus table `rating`; what the answers of several
people make of a clip is decided in SQL (int_audioscope_rated).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from winnow.annotations import label_studio, values
from winnow.core.sample import SampleFailed, clip_id, sid
from winnow.sources import urls, yfcc_path
from winnow.sources.cells import records
from winnow.sources.columns import plain
from winnow.sources.row import Row

#: Column of the table → names that it goes by, as `columns.plain` writes them.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "sample_id": ("sample_id", "clip_id"),
    "video": ("video", "video_path", "url", "video_url"),
    "start_s": ("start_s", "start", "input_start_time", "start_time"),
    "end_s": ("end_s", "end", "input_end_time", "end_time"),
    "rater_id": ("rater_id", "rater", "annotator", "worker_id", "completed_by"),
    "onscreen_present": ("onscreen_present", "on_screen_present", "onscreen", "on_screen"),
    "offscreen_present": ("offscreen_present", "off_screen_present", "offscreen", "off_screen"),
    "created_at": ("created_at", "timestamp", "rated_at", "time"),
}
_COLUMNS = {alias: column for column, names in ALIASES.items() for alias in names}
ANSWERS: Mapping[str, bool | None] = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "present"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "n", "absent"), False),
    **dict.fromkeys(("", "unsure", "unknown", "not sure", "cannot tell", "none", "null", "nan"), None),
}
MAX_JSON_BYTES = 1 << 30


def read_ratings(path: Path) -> Iterator[Row]:
    """Rows of the table `rating`, in the order of the file: a CSV, or Label Studio's JSON where it ends in `.json`.

    A row's `values` are the table's columns: `onscreen_present` and `offscreen_present` are True, False, or None for
    unsure; `created_at` is ISO 8601 in UTC, or None. What cannot be used is a Row with a `problem` and no values.
    """
    return _label_studio(path) if path.suffix.lower() == ".json" else _csv(path)


def rating(given: Mapping[str, object]) -> dict[str, object]:
    """One row of the table from values by its columns' names, checked; ValueError that says what is wrong.

    The clip is named by `sample_id`, or by `video` (a URL, or a path of YFCC100M) with `start_s` and `end_s` in s;
    where both are given they must agree.
    """
    video, named = values.text(given.get("video"), "video"), values.sample_id(given.get("sample_id"))
    start_s, end_s = values.seconds(given.get("start_s"), "start"), values.seconds(given.get("end_s"), "end")
    derived = None
    if video is not None and start_s is not None and end_s is not None:
        if end_s <= start_s:
            raise ValueError(f"ends at {end_s:g} s, which is not after its start at {start_s:g} s")
        derived = clip_id(_video_id(video), start_s, end_s)
    if named is None and derived is None:
        raise ValueError("names no clip: give sample_id, or video, start_s and end_s")
    if named is not None and derived is not None and named != derived:
        raise ValueError(f"sample_id {named} is not the clip of that video and those times, {derived}")
    return {
        "sample_id": named or derived,
        "video": video,
        "start_s": start_s,
        "end_s": end_s,
        "rater_id": values.identifier(given.get("rater_id"), "rater_id"),
        "onscreen_present": _answer(given.get("onscreen_present"), "onscreen_present"),
        "offscreen_present": _answer(given.get("offscreen_present"), "offscreen_present"),
        "created_at": values.instant(given.get("created_at")),
    }


def _row(number: int, where: str, build: Callable[[], Mapping[str, object]]) -> Row:
    """A row of what `build` gives, or the problem that it has."""
    try:
        return Row(number, rating(build()))
    except (ValueError, SampleFailed) as error:
        return Row(number, problem=f"{where}: {error}")


# -- CSV ---------------------------------------------------------------------------------------------------------------
def _csv(path: Path) -> Iterator[Row]:
    header: list[str | None] | None = None
    number = 0
    for line, cells, problem in records(path):
        if cells is None:
            yield Row(number, problem=problem)
        elif header is None:
            header = [_COLUMNS.get(plain(name)) for name in cells]
            if lacking := [c for c in ("rater_id", "onscreen_present", "offscreen_present") if c not in header]:
                what = f"its header has no column for {', '.join(lacking)}; the columns are {', '.join(ALIASES)}"
                yield Row(0, problem=f"line {line}: {what}")
                return
            continue
        elif len(cells) != len(header):
            yield Row(number, problem=f"line {line}: {len(cells)} cells under {len(header)} columns")
        else:
            pairs = zip(header, cells, strict=True)
            given = {column: cell for column, cell in pairs if column}
            yield _row(number, f"line {line}", partial(dict, given))
        number += 1


# -- Label Studio ------------------------------------------------------------------------------------------------------
def _label_studio(path: Path) -> Iterator[Row]:
    """One row per annotation that was not cancelled. A task's `data` names the clip with the table's column names; its
    annotations answer in choices: either two controls whose names hold 'onscreen' and 'offscreen' with yes or no, or
    one control whose chosen values name what is present ('on-screen', 'off-screen'; 'none' for neither)."""
    if path.stat().st_size > MAX_JSON_BYTES:
        yield Row(0, problem=f"{path.name} is larger than {MAX_JSON_BYTES} bytes: export it in parts")
        return
    try:
        tasks = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        yield Row(0, problem=f"{path.name} is not JSON: {str(error)[:200]}")
        return
    if not isinstance(tasks, list):
        yield Row(0, problem=f"{path.name}: a list of tasks is wanted: export as JSON or as JSON-MIN")
        return
    number = 0
    for at, task in enumerate(tasks):
        where = f"task {task.get('id', at) if isinstance(task, dict) else at}"
        try:
            data, annotations = label_studio.answers_of(task)
        except ValueError as error:
            yield Row(number, problem=f"{where}: {error}")
            number += 1
            continue
        for annotation in annotations:
            if isinstance(annotation, dict) and annotation.get("was_cancelled"):
                continue
            yield _row(number, where, partial(_annotation, data, annotation))
            number += 1


def _annotation(data: Mapping[str, object], annotation: object) -> dict[str, object]:
    if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
        raise ValueError("an annotation without a list of results")
    given = {column: value for name, value in data.items() if (column := _COLUMNS.get(plain(str(name))))}
    who = annotation.get("completed_by")
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    when = label_studio.instant_of(annotation.get("updated_at") or annotation.get("created_at"))
    return {**given, "rater_id": who, "created_at": when, **_choices(annotation["result"])}


def _choices(results: list[Any]) -> dict[str, object]:
    """The two answers in an annotation's results."""
    answers: dict[str, object] = {}
    for result in results:
        value = result.get("value") if isinstance(result, dict) else None
        chosen = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(chosen, list) or not all(isinstance(choice, str) for choice in chosen):
            continue
        name = _squeezed(str(result.get("from_name")))
        asked = [side for side in ("onscreen", "offscreen") if side in name]
        if len(asked) == 1:
            if len(chosen) != 1:
                raise ValueError(f"{asked[0]} has {len(chosen)} answers")
            answers[f"{asked[0]}_present"] = chosen[0]
            continue
        said = {_squeezed(choice) for choice in chosen}
        if said and said <= {"onscreen", "offscreen", "none", "unsure"}:
            unsure = "unsure" in said
            for side in ("onscreen", "offscreen"):
                answers[f"{side}_present"] = None if unsure else side in said
    if lacking := [c for c in ("onscreen_present", "offscreen_present") if c not in answers]:
        raise ValueError(f"no choice answers {' and '.join(lacking)}")
    return answers


def _squeezed(text: str) -> str:
    """'On-screen only' as 'onscreen': lower case, letters alone, without a closing 'only' or 'sound'."""
    return re.sub(r"(only|sound)+\Z", "", re.sub(r"[^a-z]", "", text.lower()))


# -- values ------------------------------------------------------------------------------------------------------------
def _video_id(video: str) -> str:
    """Id of the source video that a path of YFCC100M or a URL names."""
    if video.startswith(yfcc_path.FOLDER):
        yfcc_path.video_hash(video)
        video = yfcc_path.URL_PREFIX + video
    return sid("video", urls.canonical(urls.check(video)))


def _answer(value: object, name: str) -> bool | None:
    said = (values.text(value, name) or "").lower()
    if said not in ANSWERS:
        raise ValueError(f"{name} is {urls.shown(said)}: yes, no or unsure are answers")
    return ANSWERS[said]
