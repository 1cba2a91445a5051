"""AudioSet's classes, and what a clip is tagged with by their scores."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from winnow.models import audioset
from winnow.models.audioset import tags

SEED = Path(__file__).resolve().parents[3] / "dbt" / "seeds" / "audioset_classes.csv"


def test_the_packages_class_list_is_the_warehouses() -> None:
    assert audioset.FILE.read_bytes() == SEED.read_bytes()
    assert hashlib.sha256(audioset.FILE.read_bytes()).hexdigest().startswith(audioset.FILE_DIGEST)
    assert len(audioset.classes()) == 527
    assert audioset.classes()[audioset.places()[audioset.MUSIC]].name == "Music"


def test_tags_are_the_highest_scores_of_any_window() -> None:
    dog, speech, music, male, guitar = (
        audioset.places()[m] for m in ("/m/0bt9lr", "/m/09x0r", "/m/04rlf", "/m/05zppz", "/m/0342h")
    )
    scores = np.full((2, 527), 0.01, np.float32)
    scores[0, [dog, speech]], scores[1, [dog, male, guitar]], scores[1, music] = (0.3, 0.6), (0.5, 0.7, 0.8), 0.2
    found = tags(scores.max(axis=0), 4, audioset.classes())
    assert found["tag_mids"] == ["/m/0342h", "/m/05zppz", "/m/09x0r", "/m/0bt9lr"]
    np.testing.assert_allclose(found["tag_scores"], [0.8, 0.7, 0.6, 0.5], atol=3e-4)
    assert (found["speech"], found["music"], found["other"]) == pytest.approx((0.6, 0.2, 0.5), abs=3e-4)
    assert found["scores"].dtype == np.float16
    assert found["speech"] == float(found["scores"][speech]), "the columns are the kept scores, to the last bit"
    assert tags(np.full(527, 0.5), 3, audioset.classes())["tag_mids"] == [c.mid for c in audioset.classes()[:3]], (
        "ties by index"
    )
