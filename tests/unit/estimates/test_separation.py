"""A scorer's AUC has an interval that knows of videos, and a p-value that knows of chance."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from winnow.estimates.separation import auc, separation


def pairs(clips: int, per_video: int, gain: float, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Scores of each clip's true pair and eight false ones; a true one is `gain` deviations above, and what it is
    beside that is mostly its video's."""
    rng = np.random.default_rng(seed)
    seen = np.repeat(np.arange(clips), 9)
    true = np.tile(np.arange(9) == 0, clips)
    group = seen // per_video
    own = rng.normal(gain, 1, clips // per_video + 1)[group]
    return np.where(true, own + rng.normal(0, 0.3, len(seen)), rng.normal(0, 1, len(seen))), true, seen, group


def test_the_auc_is_that_of_scikit_learn_with_ties_and_weights() -> None:
    rng = np.random.default_rng(1)
    scores, true, weights = rng.integers(0, 9, 200), rng.random(200) < 0.3, rng.integers(0, 4, 200).astype(float)
    assert auc(scores, true, weights) == pytest.approx(roc_auc_score(true, scores, sample_weight=weights), abs=1e-12)
    assert np.isnan(auc(scores, true, weights * true))


def test_a_scorer_that_knows_is_trusted_and_one_that_does_not_is_not() -> None:
    good = separation(*pairs(60, 2, 2.0), rule=1.645)
    assert good.is_trusted
    assert 0.5 < good.auc_low < good.auc < good.auc_high <= 1
    assert good.p_value == pytest.approx(1 / 1001, abs=1e-4)
    assert (good.clips, good.groups, good.clips_effective) == (60, 30, 30.0)
    none = separation(*pairs(60, 2, 0.0), rule=1.645)
    assert not none.is_trusted
    assert none.auc_low < 0.5 < none.auc_high
    assert none.p_value > 0.05


def test_many_clips_of_few_videos_are_few_witnesses() -> None:
    scores, true, seen, video = pairs(64, 8, 1.0)
    many, few = (separation(scores, true, seen, group, rule=1.645) for group in (seen, video))
    assert few.auc_high - few.auc_low > 1.5 * (many.auc_high - many.auc_low)
    assert (many.clips_effective, few.clips_effective) == (64.0, 8.0)


def test_chance_is_trusted_about_never() -> None:
    """One-sided at 1 %, and the interval must leave chance out too."""
    assert sum(separation(*pairs(24, 2, 0.0, seed), rule=1.645, seed=seed).is_trusted for seed in range(12)) <= 1


def test_the_same_seed_gives_the_same_and_what_cannot_be_told_is_refused() -> None:
    scores, true, seen, group = pairs(20, 2, 1.0)
    once, again = (separation(scores, true, seen, group, rule=1.645, seed=3) for _ in range(2))
    assert once.row() == again.row()
    with pytest.raises(ValueError, match="one of both is missing"):
        separation(scores[true], true[true], seen[true], group[true], rule=1.645)
