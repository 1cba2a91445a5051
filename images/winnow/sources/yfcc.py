"""Lists of YFCC100M videos and clips, with and without a header.

| list | columns |
|---|---|
| clips (AudioScope, AudioScopeV2) | video path, input start time, input end time |
| clips of 10 s (MixIT) | video path, input start time, input end time, output offset |
| mixtures of two clips | the columns of clip 1, then those of clip 2 |
| videos | video path [, duration [, uploader]] |

Source: the READMEs of google-research/sound-separation, datasets/{yfcc100m,audioscope,audioscope-v2}; whether the
files have a header they do not say. Without one, the first record tells which list it is: a second and a third number
are times. After the columns of a clip list an uploader may follow (text; an uploader that is a number needs a header).
Under a header any order goes, and `coincidence` may give a probability that picture and sound belong together.

A list of mixtures gives each of its clips once: what is needed to render it. Times are s; the path becomes an address
through one prefix (`yfcc_path.URL_PREFIX`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from winnow.sources import yfcc_path
from winnow.sources.cells import records
from winnow.sources.columns import plain
from winnow.sources.row import Row

EXTENSIONS = frozenset({".csv", ".tsv", ".txt"})
#: Header names, as `columns.plain` writes them → field.
NAMES = {
    **dict.fromkeys(("video_path", "path", "video"), "path"),
    **dict.fromkeys(("input_start_time", "start", "start_s", "start_time"), "start"),
    **dict.fromkeys(("input_end_time", "end", "end_s", "end_time"), "end"),
    **dict.fromkeys(("output_offset", "output_offset_s"), "output_offset_s"),
    **dict.fromkeys(("duration", "duration_s"), "duration"),
    **dict.fromkeys(("uploader", "uploader_id", "user", "user_nsid", "nsid"), "uploader"),
    **dict.fromkeys(("coincidence", "coincidence_p", "coincidence_probability"), "coincidence_p"),
}
_MARK = re.compile(rf"""(?:^|[,;\t])\s*"?{yfcc_path.FOLDER}""", re.MULTILINE)
#: Every row has these keys, so that a list's columns are the same throughout.
_KEYS = ("url", "id", "start", "end", "duration", "uploader", "output_offset_s", "coincidence_p")
#: Bounds of numbers that are kept as they are, by field.
_BOUNDS = {"output_offset_s": 10.0, "coincidence_p": 1.0}
#: Columns of a list of mixtures → those of either clip.
MIXTURES = {6: ("path", "start", "end"), 8: ("path", "start", "end", "output_offset_s")}
_UNKNOWN = f"fits no list of YFCC100M: give it a header with some of {', '.join(sorted(NAMES))}"


def looks_like(path: Path, head: str) -> bool:
    """Whether a cell of the file begins as the paths of YFCC100M do."""
    return _MARK.search(head) is not None


def read(path: Path) -> Iterator[Row]:
    """Rows of a list: url, id (the hash), start, end, duration, uploader, output_offset_s, coincidence_p; a path whose
    folders are not its hash's is a problem."""
    fields: Sequence[str | None] | None = None
    number = 0
    mixed: set[tuple[str, ...]] = set()
    for line, cells, problem in records(path):
        if cells is None:
            yield Row(number, problem=problem)
        elif fields is None and number == 0 and "path" in (named := [NAMES.get(plain(name)) for name in cells]):
            fields = named
            continue
        elif number == 0 and NAMES.get(plain(cells[0]).removesuffix("_1")) == "path":
            continue
        elif fields is None and len(cells) in MIXTURES and cells[len(cells) // 2].startswith(yfcc_path.FOLDER):
            half = len(cells) // 2
            for clip in (tuple(cells[:half]), tuple(cells[half:])):
                if clip not in mixed:
                    mixed.add(clip)
                    yield _row(number, line, MIXTURES[len(cells)], clip)
                    number += 1
            continue
        else:
            fields = fields or _without_header(cells)
            yield _row(number, line, fields, cells) if fields else Row(number, problem=f"line {line}: {_UNKNOWN}")
        number += 1


def _without_header(cells: list[str]) -> list[str] | None:
    """What the columns are, from the first record; None for what is no such list."""
    numbers = [_is_number(cell) for cell in cells]
    if numbers[1:3] == [True, True]:
        fields = ["path", "start", "end"]
        if numbers[3:4] == [True]:
            fields.append("output_offset_s")
        return [*fields, "uploader"][: len(cells)] if len(cells) <= len(fields) + 1 else None
    return ["path", "duration", "uploader"][: len(cells)] if len(cells) <= 3 else None


def _row(number: int, line: int, fields: Sequence[str | None], cells: Sequence[str]) -> Row:
    if len(cells) != len(fields):
        return Row(number, problem=f"line {line}: {len(cells)} cells under {len(fields)} columns")
    given = {field: cell for field, cell in zip(fields, cells, strict=True) if field and cell}
    values: dict[str, object] = dict.fromkeys(_KEYS)
    try:
        values["id"] = yfcc_path.video_hash(given.get("path", ""))
        for name, most in _BOUNDS.items():
            values[name] = _bounded(given.get(name), name, most)
    except ValueError as error:
        return Row(number, problem=f"line {line}: {error}")
    if "start" in fields and not ("start" in given and "end" in given):
        return Row(number, problem=f"line {line}: a clip without a start or without an end")
    values["url"] = yfcc_path.URL_PREFIX + given["path"]
    return Row(number, values | {name: given.get(name) for name in ("start", "end", "duration", "uploader")})


def _bounded(cell: str | None, name: str, most: float) -> float | None:
    if cell is None:
        return None
    number = _as(float, cell)
    if number is None or not 0 <= number <= most:
        raise ValueError(f"{name} is {cell[:40]!r}: a number from 0 to {most:g} is wanted")
    return number


def _is_number(cell: str) -> bool:
    number = _as(float, cell)
    return number is not None and math.isfinite(number)


def _as(kind: Callable[[str], float], cell: str) -> float | None:
    try:
        return kind(cell)
    except ValueError:
        return None
