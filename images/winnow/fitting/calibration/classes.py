"""Which class of AudioSet a label names, and what lies above it: two labels have something in common when they name one
class, or when one names a class that lies under the other's.

A corpus may be of several lists, and each names classes in its own way: by id (/m/0bt9lr), by display name (Dog), with
a verb before it (`playing harp`) or in words of its own (`dog barking`). The last name every class whose name stands in
them, which is more than they mean: pairs that may have something in common are better left out of those that have not.
A label that names no class stays what it is.

audioset_parents.csv beside this file is written from AudioSet's ontology:

    python -m winnow.annotations.ontology ontology.json > images/winnow/calibration/audioset_parents.csv
"""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from pathlib import Path

from winnow.models import audioset

FILE = Path(__file__).with_name("audioset_parents.csv")
#: What VGGSound puts before an instrument's name; dbt's macro class_mid takes it off too.
VERB = "playing "


@lru_cache(maxsize=100_000)
def named(label: str) -> frozenset[str]:
    """Ids of the classes that a label names; where it names none, the label itself, lower case."""
    text = label.strip().casefold().removeprefix(VERB)
    if text in _parents():
        return frozenset({text})
    names, words = _names()
    found = names.get(text) or frozenset().union(*(names[word] for word in words.findall(text)))
    return found or frozenset({text})


@lru_cache(maxsize=2_000)
def lineage(name: str) -> frozenset[str]:
    """A class's id and those of all classes that it lies under; of anything else only itself."""
    return frozenset({name}).union(*(lineage(above) for above in _parents().get(name, ())))


@lru_cache(maxsize=1)
def _parents() -> dict[str, tuple[str, ...]]:
    """Ids right above each class of the ontology."""
    with FILE.open(newline="", encoding="utf-8") as file:
        return {row["mid"]: tuple(row["parents"].split()) for row in csv.DictReader(file)}


@lru_cache(maxsize=1)
def _names() -> tuple[dict[str, frozenset[str]], re.Pattern[str]]:
    """Ids by display name, and by each of the names that one lists, lower case; a pattern that finds them in a text,
    the longest first."""
    found: dict[str, set[str]] = {}
    for one in audioset.classes():
        for name in {one.name, *one.name.split(", ")}:
            found.setdefault(name.casefold(), set()).add(one.mid)
    longest = sorted(found, key=lambda name: (-len(name), name))
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)")
    return {name: frozenset(mids) for name, mids in found.items()}, pattern
