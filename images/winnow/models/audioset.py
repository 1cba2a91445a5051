"""AudioSet's 527 classes, in the order of a tagger's outputs, where no dbt seed can be read: in a pod.

audioset_classes.csv beside this file is dbt/seeds/audioset_classes.csv, byte for byte (a test holds it), which
`winnow.annotations.ontology` writes from AudioSet's class list and ontology.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SPEECH, MUSIC = "/m/09x0r", "/m/04rlf"
FILE = Path(__file__).with_name("audioset_classes.csv")
#: First hex of the file's SHA-256: a stage's version covers code, so the list is named in it.
FILE_DIGEST = "2bfe12773b69"


@dataclass(frozen=True)
class AudioClass:
    """mid: AudioSet's id; name: for people; under_speech, under_music: whether it is that class or lies under it."""

    mid: str
    name: str
    under_speech: bool
    under_music: bool


@lru_cache(maxsize=1)
def classes() -> tuple[AudioClass, ...]:
    """All of them, by index."""
    with FILE.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["index"]))
    return tuple(AudioClass(r["mid"], r["name"], r["under_speech"] == "1", r["under_music"] == "1") for r in rows)


@lru_cache(maxsize=1)
def places() -> dict[str, int]:
    """Index of every class, by its id."""
    return {one.mid: index for index, one in enumerate(classes())}


def tags(scores: np.ndarray, top: int, among: Sequence[AudioClass]) -> dict[str, object]:
    """Columns of a clip's class scores, 0 … 1, in the order of `among`: scores, speech, music, other (the highest
    outside both of their subtrees), tag_mids and tag_scores (the `top` highest). All numbers come from the
    half-precision ones that are kept, so that whoever reads those gets the same. Of equal scores the class with the
    lower index comes first."""
    import numpy as np

    kept = np.asarray(scores).astype(np.float16)
    plain = kept.astype(np.float64)
    best = np.argsort(-plain, kind="stable")[:top]
    place = {one.mid: index for index, one in enumerate(among)}
    others = [index for index, one in enumerate(among) if not one.under_speech and not one.under_music]
    return {
        "scores": kept,
        "speech": float(plain[place[SPEECH]]),
        "music": float(plain[place[MUSIC]]),
        "other": float(plain[others].max()),
        "tag_mids": [among[index].mid for index in best],
        "tag_scores": plain[best],
    }
