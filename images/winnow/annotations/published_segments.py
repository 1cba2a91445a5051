"""Segment labels as their authors publish them: AVE, VGGSound-AVEL, LLP. Each reader gives rows before they are checked
(`segment_labels.segment_label` checks them), with where each stood.

VGGSound-AVEL's labels come as pickles in one zip per video, or, for the 50k set, as one JSON: a list of `{video id:
{"label": [ten values]}}`. A pickle runs code when it is read, so none is opened: each is a problem that says so, and
the same labels are read from npy, JSON or CSV files in the zip. Neither form says a category or a start. The category
is looked up in `video_label_dict.json`, `label_video_dict.json` or the list (`category, video_id, split`) in the same
folder, the start in VGGSound's own list there (the larger one, as the authors advise).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from winnow.annotations.segments import SEGMENTS, covered
from winnow.sources import ave, avel, llp, vggsound, youtube_clips

#: (where it stood, values by the table's columns or None, what is wrong).
Given = tuple[str, Mapping[str, object] | None, str | None]
MAX_JSON_BYTES = 1 << 30
#: Largest file in a zip that is opened, bytes: ten labels are far smaller.
MAX_MEMBER_BYTES = 1 << 20
MAX_MEMBERS = 1_000_000
HEAD_BYTES = 65536
_PICKLE = "a pickle, which runs code when it is read: not opened; save the labels as npy, JSON or CSV"
_FILES = (".zip", ".json", ".csv", ".tsv", ".txt")
_DICTS = ("video_label_dict.json", "label_video_dict.json")


def head_of(path: Path) -> str:
    """A file's beginning, as readers look at it."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES).decode("utf-8-sig", "replace")


def folder(path: Path, given: Callable[[Path, str, Known], Iterator[Given]]) -> Iterator[Given]:
    """Rows of all files of a folder, ordered by name: the published form is one zip per video. Files that only say
    categories or splits are passed over."""
    known = Known(path)
    for file in sorted(path.iterdir()):
        if file.suffix.lower() not in _FILES or file.name in _DICTS or not file.is_file() or file.is_symlink():
            continue
        head = head_of(file)
        if avel.looks_like(file, head) or vggsound.looks_like(file, head):
            continue
        for where, values, problem in given(file, head, known):
            yield f"{file.name}, {where}", values if values is None else {"source": file.name, **values}, problem


def ave_events(path: Path) -> Iterator[Given]:
    """AVE: the event's seconds; what is outside them is background."""
    found = list(ave.events(path))
    times = ave.times_in(path.parent, {event.video for _, event, _ in found if event is not None})
    for line, event, problem in found:
        where = f"line {line}"
        if event is None:
            yield where, None, str(problem).removeprefix(f"{where}: ")
            continue
        labels = [int(event.start_s <= second < event.end_s) for second in range(SEGMENTS)]
        start_s, end_s = times.get(event.video, (None, None))
        about = {"family": "ave", "video": event.video, "start_s": start_s, "end_s": end_s, "category": event.category}
        yield where, about | {"annotator_id": "published:ave", "labels": labels}, None


def llp_events(path: Path) -> Iterator[Given]:
    """LLP: what is audible, or what is visible, as the file's name says; one row per clip and label. A second is marked
    where events cover half of it or more."""
    said = [track for track, word in (("audible", "audio"), ("visible", "visual")) if word in path.name.lower()]
    events: dict[tuple[str, float, float, str], list[tuple[float, float]]] = {}
    for number, line, problem in llp.lines(path):
        where = f"line {number}"
        if line is None:
            yield where, None, str(problem).removeprefix(f"{where}: ")
            continue
        if line.onset_s is None or line.offset_s is None:
            yield where, None, "a list of whole clips: it says what is there and not when; ingest it as candidates"
            return
        if len(said) != 1:
            yield where, None, f"{path.name} does not say whether its events are audible (audio) or visible (visual)"
            return
        for label in line.labels:
            events.setdefault((line.video, line.start_s, line.end_s, label), []).append((line.onset_s, line.offset_s))
    for (video, start_s, end_s, label), intervals in events.items():
        about = {"family": "llp", "video": video, "start_s": start_s, "end_s": end_s, "category": label}
        yield video, about | {"annotator_id": "published:llp", said[0]: covered(intervals)}, None


# -- VGGSound-AVEL -----------------------------------------------------------------------------------------------------
class Known:
    """What the lists in a folder say: the category of each video (or clip) and the start of each."""

    def __init__(self, folder: Path) -> None:
        self.categories: dict[str, tuple[str, ...]] = {}
        self.starts = avel.starts_in(folder)
        for beside, head in avel.lists_in(folder):
            if avel.looks_like(beside, head):
                for row in avel.rows(beside):
                    if row.values is not None:
                        name = youtube_clips.name_of(str(row.values["video"]), row.values["start_s"])  # type: ignore[arg-type]
                        self._add(name, str(row.values["category"]))
        for name in _DICTS:
            for clip, category in _pairs(folder / name):
                self._add(clip, category)

    def _add(self, name: str, category: str) -> None:
        before = self.categories.get(name, ())
        if category not in before:
            self.categories[name] = (*before, category)

    def about(self, name: str, category: str | None) -> dict[str, object]:
        """Video, start, end and category of a clip by its name; ValueError where no category is known, or several."""
        video, start_s, end_s = youtube_clips.parse(name)
        if category is None:
            found = self.categories.get(name) or self.categories.get(video) or ()
            if len(found) != 1:
                what = "several categories" if found else "no category"
                raise ValueError(f"{what} known for {name}: put {_DICTS[0]} or the list with categories beside")
            category = found[0]
        if start_s is None and (start_s := avel.start_of(self.starts, video, category)) is not None:
            end_s = start_s + youtube_clips.CLIP_S
        return {"video": video, "start_s": start_s, "end_s": end_s, "category": category}


def avel_json(path: Path, known: Known | None = None) -> Iterator[Given]:
    """A JSON of labels by video: an object, or a list of objects; a value is ten labels, an object with `label` and
    perhaps `category`, or an object of ten labels by category."""
    if path.name in _DICTS:
        yield path.name, None, "it says categories and no seconds: leave it beside the labels"
        return
    value, problem = _json(path)
    if problem:
        yield path.name, None, problem
        return
    yield from _labelled(value, known or Known(path.parent), path.name)


def zipped(path: Path, known: Known | None = None) -> Iterator[Given]:
    """A zip of label files (npy, JSON, CSV), named by their clip, or of one clip's files, named by the zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            if len(members) > MAX_MEMBERS:
                yield path.name, None, f"{len(members)} files; the most is {MAX_MEMBERS}"
                return
            known = known or Known(path.parent)
            for info in members:
                yield from _member(archive, info, path, known)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        yield path.name, None, f"no readable zip: {error}"


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, known: Known) -> Iterator[Given]:
    where, inner = f"{path.name}: {info.filename[:100]!r}", PurePosixPath(info.filename)
    suffix = inner.suffix.lower()
    if suffix in (".pkl", ".pickle", ".p"):
        yield where, None, _PICKLE
        return
    if suffix not in (".npy", ".json", ".csv"):
        yield where, None, "no labels: npy, JSON and CSV files are read"
        return
    if info.flag_bits & 1 or info.file_size > MAX_MEMBER_BYTES:
        yield where, None, f"{info.file_size} bytes, or encrypted; the most is {MAX_MEMBER_BYTES}"
        return
    try:
        with archive.open(info) as file:
            data = file.read(MAX_MEMBER_BYTES + 1)
        if len(data) > MAX_MEMBER_BYTES:
            raise ValueError(f"longer than {MAX_MEMBER_BYTES} bytes")
        if suffix == ".json":
            value = json.loads(data)
            if isinstance(value, (dict, list)) and not _is_ten(value) and "label" not in value:
                yield from _labelled(value, known, where)
                return
        else:
            value = _array(data) if suffix == ".npy" else data.decode().replace("\n", ",").strip(", \r").split(",")
        yield where, _row(known, _name(inner, path), value), None
    except (ValueError, RecursionError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        yield where, None, str(error)[:300]
    except Exception as error:  # zlib and lzma raise errors of their own for broken data
        yield where, None, f"broken: {str(error)[:200]}"


def _name(inner: PurePosixPath, path: Path) -> str:
    """The clip's name: of the file, of its folder, or of the zip, whichever is one first."""
    for name in (inner.stem, inner.stem.rpartition("_")[0], inner.parent.name, path.stem):
        try:
            youtube_clips.parse(name)
        except ValueError:
            continue
        return name
    raise ValueError("neither it nor its folder nor the zip is named as a clip: <YouTube id> or <id>_<start>")


def _array(data: bytes) -> list[int]:
    """Ten labels of an npy: (10,), (1, 10), (10, 1), or one-hot (10, categories + 1) whose last is background."""
    import numpy as np

    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.size == SEGMENTS:
        return [int(v) if v in (0, 1) else -1 for v in array.reshape(-1)]
    if array.ndim == 2 and array.shape[0] == SEGMENTS and np.isin(array, (0, 1)).all():
        return array[:, :-1].max(axis=1).astype(int).tolist()
    raise ValueError(f"an array of {array.shape}, and no labels: ten of 0 or 1, or one-hot ones, are wanted")


def _labelled(value: object, known: Known, where: str) -> Iterator[Given]:
    """Rows of a JSON value that holds labels of many clips."""
    objects = value if isinstance(value, list) else [value]
    for place, item in enumerate(objects):
        at = where if isinstance(value, dict) else f"{where}, item {place}"
        if not isinstance(item, dict):
            yield at, None, f"{type(item).__name__} where an object of labels by video is wanted"
            continue
        named = item.get("video_id", item.get("video"))
        for name, found in [(named, item)] if isinstance(named, str) else item.items():
            by_category = isinstance(found, dict) and not {"label", "labels"} & set(found)
            parts = [{"label": v, "category": c} for c, v in found.items()] if by_category else [found]
            for part in parts:
                try:
                    yield f"{at}, {name[:40]!r}", _row(known, name, part), None
                except ValueError as error:
                    yield f"{at}, {name[:40]!r}", None, str(error)


def _row(known: Known, name: str, value: object) -> dict[str, object]:
    """A row from a clip's name and its ten labels, or an object that holds them; Winnow's own exports say category,
    family and sample_id too, so that clips whose name is an address come back."""
    given = value if isinstance(value, dict) else {"label": value}
    said = {key: given[key] for key in ("category", "family", "sample_id") if isinstance(given.get(key), str)}
    try:
        about = known.about(name, said.get("category"))
    except ValueError:
        if not {"category", "sample_id"} <= set(said):
            raise
        about = {}
    labels = given.get("label", given.get("labels"))
    return {"family": "avel", "annotator_id": "published:avel", "labels": labels, **about, **said}


def _is_ten(value: object) -> bool:
    return isinstance(value, list) and not any(isinstance(one, (dict, list)) for one in value)


def _json(path: Path) -> tuple[object, str | None]:
    if path.stat().st_size > MAX_JSON_BYTES:
        return None, f"larger than {MAX_JSON_BYTES} bytes: cut it in parts"
    try:
        return json.loads(path.read_bytes()), None
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {str(error)[:200]}"


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    """(clip, category) of video_label_dict.json or label_video_dict.json; none where there is no such file."""
    value = _json(path)[0] if path.is_file() else None
    for key, found in value.items() if isinstance(value, dict) else ():
        for one in found if isinstance(found, list) else [found]:
            if isinstance(one, str):
                yield (key, one) if path.name == _DICTS[0] else (one, key)
