"""What every scorer says of a clip, whatever its networks: the mean of its pictures' cosines with its sound."""

from __future__ import annotations

import numpy as np
import pytest

from winnow.core.stage import stage_class, stage_names
from winnow.fitting import calibration
from winnow.models import scorers


def test_whoever_gives_these_columns_is_a_scorer_that_calibration_knows() -> None:
    found = {name for name in stage_names() if dict(stage_class(name).schema) == dict(scorers.COLUMNS)}
    assert found == set(calibration.VECTORS)


def test_the_score_is_the_mean_of_the_pictures_cosines() -> None:
    rng = np.random.default_rng(0)
    sound, pictures = rng.normal(size=8), rng.normal(size=(3, 8))
    found = scorers.columns(sound, pictures, np.arange(3), video_id="v", model="m@0", fold=2)
    cosines = [p @ sound / np.linalg.norm(p) / np.linalg.norm(sound) for p in pictures]
    assert set(found) == set(scorers.COLUMNS)
    assert found["score"] == pytest.approx(np.mean(cosines), abs=1e-6)
    np.testing.assert_allclose(found["frame_scores"], cosines, atol=1e-6)
    assert found["sound"] @ found["picture"] == pytest.approx(found["score"], abs=1e-6)
    assert np.linalg.norm(found["picture"]) < 0.9, "the mean is not made longer again"
    assert (found["residual_score"], found["residual_frame_scores"]) == (None, None)
    left = scorers.columns(-sound, pictures, np.arange(3), video_id="v", model="m@0", fold=2, residual=9 * sound)
    assert (left["score"], left["residual_score"]) == (-found["score"], found["score"])
    np.testing.assert_array_equal(left["residual_frame_scores"], found["frame_scores"])
    scaled = scorers.columns(20 * sound, 3 * pictures, np.arange(3), video_id="v", model="m@0", fold=2)
    for name, value in found.items():
        np.testing.assert_array_equal(scaled[name], value)
    for broken in (np.zeros(8), np.full(8, np.nan)):
        with pytest.raises(ValueError, match="without direction"):
            scorers.columns(broken, pictures, np.arange(3), video_id="v", model="m@0")
