"""The files of AVSET-10M: their names and fields, and a reader of them, ours and the published ones.

    AVSET-700K/unbalanced_train_segments_part00.json …   clips with AudioSet's labels
    AVSET-10M(excluding-700K)/split_000.json …           captioned clips, with a tagger's classes
    ontology.json, schema.json

Source of names, keys, types and order: AVSET-10M's README and the dataset viewer's excerpt of AVSET-700K. Whether the
published files are JSON arrays or an object a line is not stated: both are read. What is inside `pseudo-label` is not
stated either: ours is a list of {mid, name, score}, best first, described in schema.json under SCHEMA; another's is
kept as it is. `schema.json`, `README.md` and the Parquet files beside the JSON ones are ours.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LABEL, FLAG, VIDEO, AVC, START, END = (
    "Label",
    "Flag (Sound Separation)",
    "Youtube ID",
    "AVC",
    "Start Time",
    "End Time",
)
PSEUDO = "pseudo-label"
#: Keys of a row, in order; a captioned row has PSEUDO after them.
KEYS = (LABEL, FLAG, VIDEO, AVC, START, END)
ONTOLOGY, SCHEMA_FILE, CARD = "ontology.json", "schema.json", "README.md"
#: Name and version of what `pseudo-label` holds: another structure has another number.
SCHEMA = "winnow.avset.row/1"
#: Subset → folder, and a part's name without its extension.
SUBSETS: Mapping[str, tuple[str, str]] = {
    "labelled": ("AVSET-700K", "unbalanced_train_segments_part{:02d}"),
    "captioned": ("AVSET-10M(excluding-700K)", "split_{:03d}"),
}
MAX_BYTES = 1 << 30
MAX_TEXT_CHARS = 100_000
MAX_PSEUDO = 1000
_SECONDS = re.compile(r"\d{1,8}(?:\.\d{1,9})?\Z", re.ASCII)
_FLOAT = re.compile(r"-?\d{1,40}(?:\.\d{1,40})?(?:[eE][-+]?\d{1,3})?\Z", re.ASCII)
_PART = re.compile(r"(?:unbalanced_train_segments_part\d{2,}|split_\d{3,})\.json\Z", re.ASCII)


@dataclass(frozen=True)
class PseudoLabel:
    """A class that a tagger heard: AudioSet's id, its name (None where it has none), its score from 0 to 1."""

    mid: str
    name: str | None
    score: float


@dataclass(frozen=True)
class AvsetRow:
    """One row; times in s. `avc` is None where the row has none; `pseudo_label` is None where the row has none, or one
    of another structure. `raw` is the row as it stands. `problem` says what is wrong with one that cannot be read."""

    number: int
    label: str | None = None
    flag: int | None = None
    youtube_id: str | None = None
    avc: float | None = None
    start_s: float | None = None
    end_s: float | None = None
    pseudo_label: tuple[PseudoLabel, ...] | None = None
    raw: object = None
    problem: str | None = None


def part_name(subset: str, part: int) -> str:
    """A part's file without its extension, relative to where all of them lie."""
    folder, name = SUBSETS[subset]
    return f"{folder}/{name.format(part)}"


def parts(folder: Path) -> list[Path]:
    """The JSON files of rows under a folder, in order."""
    return sorted(path for path in folder.rglob("*.json") if _PART.match(path.name))


def read(path: Path) -> Iterator[AvsetRow]:
    """Every row of a part, in order."""
    if path.stat().st_size > MAX_BYTES:
        yield AvsetRow(0, problem=f"{path.name} is larger than {MAX_BYTES} bytes")
        return
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        yield AvsetRow(0, problem=f"{path.name} is not UTF-8")
        return
    if not text.lstrip().startswith("["):
        found: Iterator[object] = (_json(line) for line in text.split("\n") if line.strip())
    else:
        whole = _json(text)
        found = iter(whole if isinstance(whole, list) else [whole])
    for number, value in enumerate(found):
        try:
            yield _row(number, value)
        except ValueError as error:
            yield AvsetRow(number, raw=value, problem=str(error))


def _json(text: str) -> object:
    """The value; for what is no JSON the error, which is no object."""
    try:
        return json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError) as error:
        return ValueError(f"not JSON: {str(error)[:100]}")


def _row(number: int, value: object) -> AvsetRow:
    if isinstance(value, ValueError):
        raise value
    if not isinstance(value, dict):
        raise ValueError(f"an object is wanted, not {type(value).__name__}")
    if missing := [key for key in KEYS if key not in value]:
        raise ValueError(f"no {', '.join(missing)}")
    for key in (LABEL, VIDEO, AVC, START, END):
        if not isinstance(value[key], str) or len(value[key]) > MAX_TEXT_CHARS:
            raise ValueError(f"{key} is {_shown(value[key])}: text is wanted")
    if type(value[FLAG]) is not int or value[FLAG] not in (0, 1):
        raise ValueError(f"{FLAG} is {_shown(value[FLAG])}: the number 0 or 1 is wanted")
    if not value[VIDEO].strip():
        raise ValueError(f"{VIDEO} is empty")
    start_s, end_s = (_seconds(key, value[key]) for key in (START, END))
    if end_s <= start_s:
        raise ValueError(f"ends at {end_s:g} s, which is not after its start at {start_s:g} s")
    return AvsetRow(
        number,
        value[LABEL],
        value[FLAG],
        value[VIDEO],
        _score(value[AVC]),
        start_s,
        end_s,
        _pseudo(value.get(PSEUDO)),
        value,
    )


def _seconds(key: str, text: str) -> float:
    if not _SECONDS.match(text):
        raise ValueError(f"{key} is {_shown(text)}: seconds are wanted, as in 30.000")
    return float(text)


def _score(text: str) -> float | None:
    if not text:
        return None
    score = float(text) if _FLOAT.match(text) else math.nan
    if not math.isfinite(score):
        raise ValueError(f"{AVC} is {_shown(text)}: a number is wanted")
    return score


def _pseudo(value: object) -> tuple[PseudoLabel, ...] | None:
    """Classes where they have our structure."""
    if not isinstance(value, list) or len(value) > MAX_PSEUDO:
        return None
    found = []
    for item in value:
        if not isinstance(item, dict) or set(item) != {"mid", "name", "score"}:
            return None
        mid, name, score = item["mid"], item["name"], item["score"]
        if not isinstance(mid, str) or not isinstance(name, (str, type(None))) or isinstance(score, bool):
            return None
        if not isinstance(score, (int, float)) or not 0 <= score <= 1:
            return None
        found.append(PseudoLabel(mid, name, float(score)))
    return tuple(found)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
