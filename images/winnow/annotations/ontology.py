"""AudioSet's ontology and class list: which classes there are, what they are called, and which lie under which.

`ontology.json` is a list of objects with id (MID), name, description, citation_uri, positive_examples, child_ids and
restrictions; it is a graph without cycles, in which a class may have several parents. `class_labels_indices.csv` has
index, mid and display_name of the 527 classes that clips are labelled with, in the order of a tagger's outputs.

Source: audioset/ontology (CC BY-SA 4.0) and the class list of AudioSet's download page. The facts that dbt needs
(index, MID, name, what lies under Speech and under Music) stand in dbt/seeds/audioset_classes.csv, what lies under what
in images/winnow/calibration/audioset_parents.csv. This module writes both:

    python -m winnow.annotations.ontology class_labels_indices.csv ontology.json > dbt/seeds/audioset_classes.csv
    python -m winnow.annotations.ontology ontology.json > images/winnow/calibration/audioset_parents.csv
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from winnow.core.errors import ContractError
from winnow.sources.row import Row
from winnow.sources.urls import shown

SPEECH, MUSIC = "/m/09x0r", "/m/04rlf"
#: A class's id as AudioSet writes it: of Freebase, or of its own (/t/dd00134).
MID = re.compile(r"/[a-z]{1,3}/[0-9a-z_]{1,24}\Z")
MAX_BYTES = 16 * 1024 * 1024
MAX_CLASSES = 20_000
MAX_CHILDREN = 2_000
_SPACE = re.compile(r"[\s,]*")


def read_ontology(path: Path) -> Iterator[Row]:
    """Rows of the corpus table `ontology`, one per object and in its order. `json` is the file's text from where the
    object before ended to where this one does, so that all of them in order are the file, byte for byte.

    ContractError for a file that is no ontology as a whole: not UTF-8, not a JSON list, too large, an id twice, a child
    that is not there, a class that lies under itself."""
    if path.stat().st_size > MAX_BYTES:
        raise ContractError(f"{path} is larger than {MAX_BYTES} bytes: AudioSet's ontology has 0.3 MB")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ContractError(f"{path} is not UTF-8: {error}") from None
    rows = [_class(path, item, at, text) for at, item, text in _slices(path, text)]
    children = {str(row["mid"]): row["child_mids"] for row in rows}
    if len(children) != len(rows):
        raise ContractError(f"{path}: an id stands there more than once")
    for mid, below in children.items():
        if missing := [child for child in below if child not in children]:
            raise ContractError(f"{path}: {mid} has a child {shown(missing[0])} that is not there")
    for _ in _from_leaves(path, children):
        pass
    for number, row in enumerate(rows):
        yield Row(number, row)


def below(children: Mapping[str, Iterable[str]], top: str) -> set[str]:
    """The classes that lie under one, itself included."""
    found, left = set(), [top]
    while left:
        mid = left.pop()
        if mid not in found:
            found.add(mid)
            left.extend(children.get(mid, ()))
    return found


def _read(ontology: Path) -> list[Mapping[str, Any]]:
    return [row.values for row in read_ontology(ontology) if row.values]


def classes(class_list: Path, ontology: Path) -> list[dict[str, object]]:
    """Rows of the seed audioset_classes: index, mid, name, under_speech, under_music (0 or 1), in the list's order."""
    children = {row["mid"]: row["child_mids"] for row in _read(ontology)}
    speech, music = below(children, SPEECH), below(children, MUSIC)
    with class_list.open(newline="", encoding="utf-8") as file:
        rows = [
            {
                "index": int(line["index"]),
                "mid": line["mid"],
                "name": line["display_name"],
                "under_speech": int(line["mid"] in speech),
                "under_music": int(line["mid"] in music),
            }
            for line in csv.DictReader(file)
        ]
    if [row["index"] for row in rows] != list(range(len(rows))) or any(row["mid"] not in children for row in rows):
        raise ContractError(f"{class_list} and {ontology} do not belong together, or the list is not in order")
    return rows


def seed(class_list: Path, ontology: Path) -> str:
    """The text of dbt/seeds/audioset_classes.csv."""
    rows = classes(class_list, ontology)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def parents(ontology: Path) -> str:
    """The text of calibration/audioset_parents.csv: one line per class, the ids right above it joined by spaces."""
    rows = _read(ontology)
    above: dict[str, list[str]] = {row["mid"]: [] for row in rows}
    for row in rows:
        for child in row["child_mids"]:
            above[child].append(row["mid"])
    return "".join(["mid,parents\n", *(f"{mid},{' '.join(sorted(above[mid]))}\n" for mid in sorted(above))])


def _slices(path: Path, text: str) -> Iterator[tuple[int, object, str]]:
    """(place, object, text since the object before) of a JSON list's objects; the last text reaches the file's end."""
    decoder = json.JSONDecoder(parse_constant=lambda name: None)
    start = re.match(r"\ufeff?\s*\[\s*", text)
    if not start:
        raise ContractError(f"{path} is not a JSON list of classes")
    done, at, count = 0, start.end(), 0
    while text[at : at + 1] != "]":
        if count == MAX_CLASSES:
            raise ContractError(f"{path} has more than {MAX_CLASSES} classes")
        try:
            item, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise ContractError(f"{path}: class {count} is not JSON: {str(error)[:100]}") from None
        at = _SPACE.match(text, end).end()  # type: ignore[union-attr]
        last = text[at : at + 1] == "]"
        if not last and "," not in text[end:at]:
            raise ContractError(f"{path}: the list does not go on after class {count}")
        yield count, item, text[done:] if last else text[done:end]
        done, count = end, count + 1
    if not count:
        raise ContractError(f"{path} has no class")


def _class(path: Path, item: object, at: int, text: str) -> dict[str, Any]:
    what = f"{path}: class {at}"
    if not isinstance(item, dict) or not isinstance(item.get("id"), str) or not MID.match(item["id"]):
        raise ContractError(f"{what} has no id such as {SPEECH}")
    if not isinstance(item.get("name"), str) or not 0 < len(item["name"]) <= 200:
        raise ContractError(f"{what} has no name")
    lists = {}
    for key in ("child_ids", "restrictions"):
        found = item.get(key, [])
        if not isinstance(found, list) or len(found) > MAX_CHILDREN or not all(isinstance(v, str) for v in found):
            raise ContractError(f"{what}: {key} is no list of texts")
        lists[key] = found
    return {
        "position": at,
        "mid": item["id"],
        "name": item["name"],
        "child_mids": lists["child_ids"],
        "restrictions": lists["restrictions"],
        "json": text,
    }


def _from_leaves(path: Path, children: Mapping[str, list[str]]) -> Iterator[str]:
    """Every class after all that lie under it."""
    from graphlib import CycleError, TopologicalSorter

    try:
        yield from TopologicalSorter(children).static_order()
    except CycleError as error:
        raise ContractError(f"{path}: {error.args[1][0]} lies under itself") from None


if __name__ == "__main__":
    import sys

    files = [Path(name) for name in sys.argv[1:]]
    sys.stdout.write(parents(*files) if len(files) == 1 else seed(*files))
