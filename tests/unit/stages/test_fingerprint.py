"""fingerprint: what it takes from the sketches of picture and sound, and what it says of those without information."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.unit.sketched import levels, pictures
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.stage import Sample
from winnow.duplicates.fingerprint import Fingerprint as Known
from winnow.stages.fingerprint import Fingerprint


def measured(root: Path, picture: np.ndarray, sound: np.ndarray) -> dict[str, object]:
    stage = Fingerprint(Fingerprint.Params(), Lake(root), Settings())
    stage.setup()
    row = {"sample_id": "s", "video_id": "v", "start_s": 2.0, "end_s": 12.0}
    return stage.measure(
        Sample("s", row, {"visual": {"sketch": picture.ravel().tolist()}, "audio": {"sketch": sound.ravel().tolist()}})
    )


def test_a_row_holds_the_sketches_and_reads_back(tmp_path: Path) -> None:
    picture, sound = pictures(1), levels(1)
    row = measured(tmp_path, picture, sound)
    assert set(row) == set(Fingerprint.schema)
    assert (row["picture_void"], row["sound_void"]) == (None, None)
    assert row["picture_moments"] > 30
    assert row["sound_moments"] > 100
    known = Known.of_row({"sample_id": "s", **row})
    assert np.array_equal(known.picture, picture)
    assert np.array_equal(known.sound, sound)
    assert (known.video_id, known.start_s, known.end_s) == ("v", 2.0, 12.0)


def test_without_information_it_says_why(tmp_path: Path) -> None:
    row = measured(tmp_path, np.full_like(pictures(1), 16), np.zeros_like(levels(1)))
    assert (row["picture_void"], row["sound_void"]) == ("flat", "silent")
    assert (row["picture_moments"], row["sound_moments"]) == (0, 0)
