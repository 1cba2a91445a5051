"""The splits that published lists of AVE, VGGSound-AVEL and LLP give, as rows of the corpus table `given_split`.

Read are VGGSound-AVEL's list (`category, video_id, split`, with or without a start; also Winnow's own export of one),
AVE's trainSet.txt, valSet.txt and testSet.txt, LLP's AVVP_train.csv, AVVP_val_pd.csv and AVVP_test_pd.csv, and AVE's
order files (train_order.h5: rows of the Annotations.txt that lies beside, counted from 0).

A key is what the list says of a sample: the clip's name (`<id>` or `<id>_<start>`), and in AVE's case its category too,
`<id>&<category>`, because a video with two events is two samples there and the published orders put some of these into
two splits (rpt_avel_leaks).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from winnow.sources import ave, avel, llp, youtube_clips
from winnow.sources.row import Row

SPLITS = ("train", "val", "test")
ANNOTATIONS = "Annotations.txt"
_ORDER = ".h5"
_WORD = re.compile(r"(?<![a-z])(?:train|val|test)")
#: Most rows of an order file.
MAX_ORDER = 10_000_000


def looks_like(path: Path, head: str) -> bool:
    """Whether a file gives splits of one of these families."""
    if path.suffix.lower() == _ORDER:
        return split_of(path.name) is not None
    if avel.looks_like(path, head):
        return True
    return split_of(path.name) is not None and (ave.looks_like(path, head) or llp.looks_like(path, head))


def split_of(name: str) -> str | None:
    """The split that a file's name says; None when it says none or several."""
    said = set(_WORD.findall(name.lower()))
    return said.pop() if len(said) == 1 else None


def ave_key(video: str, category: str) -> str:
    """Key of one of AVE's samples."""
    return f"{video}{ave.SEPARATOR}{category}"


def read_splits(path: Path) -> Iterator[Row]:
    """Rows of `given_split` (family, key, split, source: the file's name) of a list; what cannot be used is a Row with
    a problem."""
    with path.open("rb") as file:
        text = file.read(avel.HEAD_BYTES).decode("utf-8-sig", "replace")
    if path.suffix.lower() == _ORDER:
        rows = _order(path)
    elif avel.looks_like(path, text):
        rows = _avel(path)
    elif split_of(path.name) is None:
        rows = iter(
            [Row(0, problem=f"{path.name}: its name says neither train nor val nor test, and it has no column split")]
        )
    elif ave.looks_like(path, text):
        rows = _ave(path, str(split_of(path.name)))
    elif llp.looks_like(path, text):
        rows = _llp(path, str(split_of(path.name)))
    else:
        rows = iter([Row(0, problem=f"{path.name} is no list of AVE, VGGSound-AVEL or LLP")])
    for row in rows:
        yield row if row.values is None else Row(row.number, {**row.values, "source": path.name})


def _avel(path: Path) -> Iterator[Row]:
    """A list with a column split: VGGSound-AVEL's, or Winnow's export of AVE's set (ave.csv)."""
    for row in avel.rows(path):
        if row.values is None:
            yield row
        elif path.stem.lower() == "ave":
            key = ave_key(str(row.values["video"]), str(row.values["category"]))
            yield Row(row.number, {"family": "ave", "key": key, "split": row.values["split"]})
        else:
            key = youtube_clips.name_of(str(row.values["video"]), row.values["start_s"])  # type: ignore[arg-type]
            yield Row(row.number, {"family": "avel", "key": key, "split": row.values["split"]})


def _ave(path: Path, split: str) -> Iterator[Row]:
    for number, (_, event, problem) in enumerate(ave.events(path)):
        if event is None:
            yield Row(number, problem=problem)
        else:
            yield Row(number, {"family": "ave", "key": ave_key(event.video, event.category), "split": split})


def _llp(path: Path, split: str) -> Iterator[Row]:
    for number, (_, line, problem) in enumerate(llp.lines(path)):
        if line is None:
            yield Row(number, problem=problem)
        else:
            yield Row(number, {"family": "llp", "key": youtube_clips.name_of(line.video, line.start_s), "split": split})


def _order(path: Path) -> Iterator[Row]:
    """An order file: indices of the annotations beside it, bad lines counted too."""
    import h5py

    split = split_of(path.name)
    annotations = path.parent / ANNOTATIONS
    if split is None or not annotations.is_file():
        yield Row(
            0, problem=f"{path.name}: put the {ANNOTATIONS} whose rows it counts beside it, and name it by its split"
        )
        return
    events = [(event, problem) for _, event, problem in ave.events(annotations)]
    try:
        with h5py.File(path, "r") as file:
            order = file["order"]
            if order.ndim != 1 or order.dtype.kind not in "iu" or len(order) > MAX_ORDER:
                raise ValueError(f"order is {order.dtype} {order.shape}: indices are wanted")
            indices = order[:].tolist()
    except (OSError, KeyError, ValueError, AttributeError) as error:
        yield Row(0, problem=f"{path.name}: no order file: {str(error)[:200]}")
        return
    for number, index in enumerate(indices):
        if not 0 <= index < len(events):
            yield Row(number, problem=f"index {index} of {len(events)} annotations")
            continue
        event, problem = events[index]
        if event is None:
            yield Row(number, problem=f"{annotations.name}, {problem}")
        else:
            yield Row(number, {"family": "ave", "key": ave_key(event.video, event.category), "split": split})
