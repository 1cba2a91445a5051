"""Fitting the ridge scorer (`models.ridge`): cross-fitted, deterministic, label-free, in seconds.

Both sides are standardised; sounds are turned into their principal directions, of which the first few hold what several
clips share; and of each of those the picture's part is a ridge regression. Its strength is relative to what a picture's
vector has in all, so that it means the same for a hundred clips and for a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from winnow.models.copies import Known, fold_of
from winnow.models.corpus import Corpus
from winnow.models.correspondence import cut_features
from winnow.models.correspondence_error import RULE_Z
from winnow.models.correspondence_fit import choose_folds
from winnow.models.ridge import RidgeMap, RidgeModel
from winnow.models.scorers import unit

#: Clips whose pairs tell how good a scorer is, and mismatches of each.
MOST_CLIPS, MISMATCHES = 500, 8


@dataclass(frozen=True)
class FitParams:
    """folds: at most so many; ridge: penalty, of the mean square length of a standardised picture; width: directions of
    sounds, at most, and at most as many as clips; max_clips: larger corpora are fitted on a sample of this size; seed:
    of that sample; networks: labels of the two that gave the vectors."""

    folds: int = 8
    ridge: float = 1.0
    width: int = 128
    max_clips: int = 50_000
    seed: int = 0
    networks: tuple[str, str] = ("", "")


def fit(corpus: Corpus, params: FitParams) -> RidgeModel:
    """The model of a corpus whose picture and sound are the two networks' vectors, and which must allow three folds or
    more (`correspondence_fit.choose_folds`)."""
    if len(corpus) > params.max_clips:
        rng = np.random.default_rng(params.seed)
        corpus = corpus.take(np.sort(rng.choice(len(corpus), params.max_clips, replace=False)))
    group = corpus.group
    folds = choose_folds(group.tolist(), params.folds)
    fold = np.array([fold_of(name, folds) for name in group.tolist()])
    groups = {video: video for video in corpus.video.tolist()} | dict(corpus.groups)
    known = Known.of(group, corpus.picture, corpus.sound, groups, folds)
    # One width for all folds, or vectors of two folds could not stand in one table's column.
    params = replace(params, width=min(params.width, len(corpus) - int(np.bincount(fold).max())))
    maps = [fit_map(corpus.picture[fold != k], corpus.sound[fold != k], params) for k in range(folds)]
    return RidgeModel(maps, known, params.networks)


def fit_map(picture: np.ndarray, sound: np.ndarray, params: FitParams) -> RidgeMap:
    """The map from pictures (n, d) to sounds (n, e) of the same clips."""
    (seen, a_mean, a_scale), (heard, b_mean, b_scale) = _standardised(picture), _standardised(sound)
    directions = _principal(heard, min(params.width, len(heard)))
    target = heard @ directions
    penalty = params.ridge * np.square(seen).sum(axis=1).mean()
    if len(seen) < seen.shape[1]:
        weights = seen.T @ np.linalg.solve(seen @ seen.T + penalty * np.eye(len(seen)), target)
    else:
        weights = np.linalg.solve(seen.T @ seen + penalty * np.eye(seen.shape[1]), seen.T @ target)
    return RidgeMap(a_mean, a_scale, b_mean, b_scale, directions.astype(np.float32), weights.astype(np.float32))


def _standardised(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors (n, d) as the map takes them, float64, and the mean and the scale that they got so by: float32, (d,)."""
    vectors = np.asarray(vectors, np.float64)
    mean, scale = vectors.mean(axis=0), 1 / (vectors.std(axis=0) + 1e-3)
    return cut_features(vectors, mean, scale), mean.astype(np.float32), scale.astype(np.float32)


def _principal(vectors: np.ndarray, count: int) -> np.ndarray:
    """The first principal directions of vectors (n, e) without mean: (e, count)."""
    if len(vectors) < vectors.shape[1]:
        power, left = np.linalg.eigh(vectors @ vectors.T)
        found = vectors.T @ left[:, ::-1][:, :count]
        return found / np.maximum(np.sqrt(np.maximum(power[::-1][:count], 0)), 1e-9)
    return np.linalg.eigh(vectors.T @ vectors)[1][:, ::-1][:, :count]


def held_out_pairs(model: RidgeModel, corpus: Corpus, mismatches: int = MISMATCHES) -> np.ndarray:
    """Cosine of each clip's picture with its own sound and with the sounds of some clips of other groups of its fold,
    by the map that was fitted without that fold: float64, (pairs, 3): place seen, place heard, cosine."""
    pairs = []
    _, folds = model.known.places(corpus.video, corpus.picture, corpus.sound)
    for k, one in enumerate(model.maps):
        places = np.flatnonzero(folds == k)
        group = corpus.group[places]
        if not len(places):
            continue
        cosine = unit(one.picture(corpus.picture[places])) @ unit(one.sound(corpus.sound[places])).T
        for i in range(len(places)):
            others = np.flatnonzero(group != group[i])
            others = others[:: max(len(others) // max(mismatches, 1), 1)][:mismatches]
            pairs += [(places[i], places[j], cosine[i, j]) for j in (i, *others)]
    return np.array(pairs)


def standard(pairs: np.ndarray) -> np.ndarray:
    """Scores of pairs in deviations of the mismatched ones from their mean, by which the house's rule takes them."""
    other = pairs[pairs[:, 0] != pairs[:, 1], 2]
    return (pairs[:, 2] - other.mean()) / max(float(other.std()), 1e-6)


def figures(model: RidgeModel, corpus: Corpus) -> dict[str, float]:
    """How the model does on its own corpus, every clip scored by a map that did not see its group: the same of the
    pairs of its first clips as `figures_of`."""
    return figures_of(held_out_pairs(model, corpus.first(MOST_CLIPS)))


def figures_of(pairs: Sequence[Sequence[float]] | np.ndarray) -> dict[str, float]:
    """auc: of true pairs against those of two groups; some of those agree by chance and some true pairs are wrong, so 1
    is out of reach. accepted_…: shares of either that reach RULE_Z."""
    from winnow.estimates.separation import auc

    pairs = np.asarray(pairs)
    true, z = pairs[:, 0] == pairs[:, 1], standard(pairs)
    return {
        "auc": round(auc(z, true, np.ones(len(z))), 4),
        "accepted_true": round(float((z[true] >= RULE_Z).mean()), 4),
        "accepted_mismatched": round(float((z[~true] >= RULE_Z).mean()), 4),
        "pairs_mismatched": int((~true).sum()),
    }
