"""Fitting the correspondence scorer (`models.correspondence`) on a corpus: cross-fitted, deterministic, label-free.

Everything that a fold's model is made of comes from the other folds' groups; what must be measured on clips that were
not fitted on (canonical correlations, the weights of the two parts) comes from a second round of cross-fitting inside
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from winnow.models import synchrony
from winnow.models.copies import Known, fold_of
from winnow.models.corpus import Corpus
from winnow.models.correspondence import (
    MAX_CORRELATION,
    FoldModel,
    Scorer,
    Tower,
    cut_features,
    information,
    log_odds,
    mismatches,
    null_of,
)
from winnow.models.correspondence_error import MIN_NULL_STD, RULE_Z, stability

#: A fold's null comes from pairs of its own groups: fewer than these say little about how mismatches scatter.
NULL_GROUPS = 5
#: Clips whose pairs tell how good a scorer is.
MOST_CLIPS = 500


@dataclass(frozen=True)
class FitParams:
    """folds: at most so many; clips_per_variate: one canonical variate for so many clips, up to max_variates; ridge:
    variance added to each principal direction, of the first one's; max_clips: larger corpora are fitted on a sample
    of this size; weight_clips, negatives: clips, and false pairs for each, that the weights are fitted on; bank:
    clips kept per fold for the null; alike: see `Scorer`; seed: of all sampling."""

    folds: int = 8
    clips_per_variate: int = 4
    max_variates: int = 64
    ridge: float = 0.1
    max_clips: int = 50_000
    bank: int = 256
    weight_clips: int = 2_000
    negatives: int = 64
    alike: float = 0.25
    seed: int = 0


@dataclass(frozen=True)
class HeldOut:
    """Clips of one inner fold, as towers that were not fitted on them see them: variates (n, q)."""

    corpus: Corpus
    picture: np.ndarray
    sound: np.ndarray


def choose_folds(group: Sequence[str], wanted: int) -> int:
    """The largest number of folds, 3 … `wanted`, of which each holds NULL_GROUPS groups, or at least two; 0 when
    there is none. Three is least: cross-fitting inside the training folds needs two of them."""
    names = sorted(set(group))
    for least in (NULL_GROUPS, 2):
        for folds in range(wanted, 2, -1):
            if np.bincount([fold_of(name, folds) for name in names], minlength=folds).min() >= least:
                return folds
    return 0


def fit(corpus: Corpus, params: FitParams) -> Scorer:
    """The scorer of a corpus, which must allow three folds or more (`choose_folds`)."""
    if len(corpus) > params.max_clips:
        rng = np.random.default_rng(params.seed)
        corpus = corpus.take(np.sort(rng.choice(len(corpus), params.max_clips, replace=False)))
    group = corpus.group
    folds = choose_folds(group.tolist(), params.folds)
    fold = np.array([fold_of(name, folds) for name in group.tolist()])
    groups = {video: video for video in corpus.video.tolist()} | dict(corpus.groups)
    known = Known.of(group, corpus.picture, corpus.sound, groups, folds)
    number = np.unique(group, return_inverse=True)[1]
    towers: dict[frozenset[int], tuple[Tower, Tower]] = {}

    def without(*left_out: int) -> tuple[Tower, Tower]:
        key = frozenset(left_out)
        if key not in towers:
            towers[key] = fit_towers(corpus.take(np.flatnonzero(~np.isin(fold, left_out))), params)
        return towers[key]

    models, shaken = [], []
    for k in range(folds):
        inner = []
        for j in (j for j in range(folds) if j != k):
            held = corpus.take(np.flatnonzero(fold == j))
            picture, sound = without(k, j)
            inner.append(HeldOut(held, picture(held.picture), sound(held.sound)))
        own = np.flatnonzero(fold == k)
        model, narrow = _fold_model(corpus.take(own), number[own], without(k), inner, params, k)
        models.append(model)
        shaken.append(
            (model, corpus.take(own), number[own], {j: narrow(without(k, j)) for j in range(folds) if j != k})
        )
    left_out, refit_std = stability(shaken, params.alike)
    return Scorer(models, params.alike, known, left_out, refit_std)


def _fold_model(
    held: Corpus, number: np.ndarray, towers: tuple[Tower, Tower], inner: list[HeldOut], params: FitParams, k: int
) -> tuple[FoldModel, Callable[[tuple[Tower, Tower]], tuple[Tower, Tower]]]:
    """Fold k's model, and what makes other towers give its variates; from the towers of the other folds, their held-out
    variates, and fold k's clips, with the numbers of their groups, for the null."""
    spread_a, spread_b, correlation = calibrate(inner)
    keep = np.flatnonzero(correlation > 0)
    keep = keep if len(keep) else np.array([0])
    spread_a, spread_b, correlation = spread_a[keep], spread_b[keep], correlation[keep]

    def narrow(pair: tuple[Tower, Tower]) -> tuple[Tower, Tower]:
        return pair[0].narrowed(keep, spread_a), pair[1].narrowed(keep, spread_b)

    picture, sound = narrow(towers)
    inner = [HeldOut(h.corpus, h.picture[:, keep] / spread_a, h.sound[:, keep] / spread_b) for h in inner]
    weights = fit_weights(inner, correlation, params, np.random.default_rng([params.seed, k]))
    if len(held) > params.bank:
        rng = np.random.default_rng([params.seed, k, 1])
        kept = np.sort(rng.choice(len(held), params.bank, replace=False))
        held, number = held.take(kept), number[kept]
    model = FoldModel(
        picture,
        sound,
        correlation,
        weights,
        picture(held.picture),
        sound(held.sound),
        held.motion,
        held.onset,
        number.astype(np.int64),
        0,
        1,
    )
    null = fold_null(model, params.alike)
    return replace(model, null_mean=float(null.mean()), null_std=max(float(null.std()), MIN_NULL_STD)), narrow


def fit_towers(corpus: Corpus, params: FitParams) -> tuple[Tower, Tower]:
    """Canonical correlation analysis of principal directions, with a ridge: two towers whose variates have variance 1
    on the corpus and fall in correlation from first to last. Each layer has the same weight, whatever its size."""
    count = max(min(len(corpus) // params.clips_per_variate, params.max_variates), 2)
    sides = []
    for features, sizes in ((corpus.picture, corpus.picture_sizes), (corpus.sound, corpus.sound_sizes)):
        weight = np.repeat(1 / np.sqrt(np.array(sizes) * len(sizes)), sizes)
        mean, scale = features.mean(axis=0), 1 / (features.std(axis=0) + 1e-3)
        standard = cut_features(features, mean, scale) * weight
        centre = standard.mean(axis=0)
        standard -= centre
        variance, direction = np.linalg.eigh(standard.T @ standard / len(corpus))
        variance, direction = variance[::-1][:count], direction[:, ::-1][:, :count]
        whiten = direction / np.sqrt(variance + params.ridge * variance[0] + 1e-12)
        sides.append((mean, scale, weight, centre, whiten, standard @ whiten))
    turn_picture, _, turn_sound = np.linalg.svd(sides[0][-1].T @ sides[1][-1] / len(corpus))
    towers = []
    for (mean, scale, weight, centre, whiten, white), turn in zip(sides, (turn_picture, turn_sound.T), strict=True):
        projection = whiten @ turn / ((white @ turn).std(axis=0) + 1e-9)
        towers.append(Tower(mean, scale, weight[:, None] * projection, -(centre @ projection)))
    return towers[0], towers[1]


def calibrate(inner: Sequence[HeldOut]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Deviation of either side's variates and their correlations (0 … MAX_CORRELATION) on held-out clips, each
    (q,)."""
    count = min(held.picture.shape[1] for held in inner)
    a = np.concatenate([held.picture[:, :count] for held in inner])
    b = np.concatenate([held.sound[:, :count] for held in inner])
    spread_a, spread_b = np.sqrt(np.square(a).mean(axis=0)) + 1e-9, np.sqrt(np.square(b).mean(axis=0)) + 1e-9
    return spread_a, spread_b, np.clip((a * b).mean(axis=0) / spread_a / spread_b, 0, MAX_CORRELATION)


def fit_weights(
    inner: Sequence[HeldOut], correlation: np.ndarray, params: FitParams, rng: np.random.Generator
) -> np.ndarray:
    """Log-odds weights (3,) of the semantic part, of sync, and a constant: logistic regression of true pairs against
    pairs of different groups, both kinds weighing the same. A part that speaks against correspondence counts for
    nothing."""
    true, false = [], []
    step = max(sum(len(held.corpus) for held in inner) // params.weight_clips, 1)
    for held in inner:
        group = held.corpus.group
        for i in range(0, len(held.corpus), step):
            others = np.flatnonzero(group != group[i])
            if len(others) > params.negatives:
                others = np.sort(rng.choice(others, params.negatives, replace=False))
            place = np.concatenate([[i], others])
            semantic = information(held.picture[i], held.sound[place], correlation)
            sync = synchrony.peaks(held.corpus.motion[i], held.corpus.onset[place], one_is_motion=True)
            pairs = np.column_stack([semantic, sync])
            true.append(pairs[:1])
            false.append(pairs[1:])
    x = np.concatenate([*true, *false])
    y = np.repeat([1, 0], [len(true), len(x) - len(true)])
    weight = np.where(y == 1, 1.0, len(true) / max(len(x) - len(true), 1))
    centre, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    model = LogisticRegression(C=1.0).fit((x - centre) / spread, y, sample_weight=weight)
    slope = np.maximum(model.coef_[0], 0) / spread
    return np.array([*slope, model.intercept_[0] - slope @ centre])


def fold_null(model: FoldModel, alike: float) -> np.ndarray:
    """Scores of all mismatched pairs of the bank's clips (each from either side)."""
    own = [
        mismatches(model, [group], a, b, m, o, alike)
        for group, a, b, m, o in zip(
            model.bank_group, model.bank_picture, model.bank_sound, model.bank_motion, model.bank_onset, strict=True
        )
    ]
    return np.concatenate(own)


def figures(scorer: Scorer, corpus: Corpus) -> dict[str, float]:
    """How the scorer does on its own corpus, every clip scored by a model that did not see its group.

    auc: of the z of true pairs against that of pairs of two groups. Some of those agree by chance and some true pairs
    are wrong, so 1 is out of reach. accepted_…: shares of either that reach RULE_Z. A corpus of more than MOST_CLIPS
    clips is looked at by its first ones.
    """
    return figures_of(held_out_pairs(scorer, corpus.first(MOST_CLIPS)))


def figures_of(pairs: np.ndarray) -> dict[str, float]:
    """The same of pairs as `held_out_pairs` gives them."""
    true = pairs[:, 0] == pairs[:, 1]
    accepted = pairs[:, 2] >= RULE_Z
    return {
        "auc": round(float(roc_auc_score(true, pairs[:, 2])), 4),
        "accepted_true": round(float(accepted[true].mean()), 4),
        "accepted_mismatched": round(float(accepted[~true].mean()), 4),
        "pairs_mismatched": int((~true).sum()),
    }


def held_out_pairs(scorer: Scorer, corpus: Corpus, mismatches_per_clip: int = 8) -> np.ndarray:
    """z of each clip's picture with its own sound and with the sounds of some clips of other groups of its fold, each
    pair with a null as a clip has: of its picture's mismatches and its sound's.

    Returns float64, (pairs, 3): place of the clip seen, place of the clip heard, z.
    """
    pairs = []
    known, folds = scorer.known.places(corpus.video, corpus.picture, corpus.sound)
    for k, model in enumerate(scorer.folds):
        places = np.flatnonzero(folds == k)
        held = corpus.take(places)
        group = held.group
        picture, sound = model.picture(held.picture), model.sound(held.sound)
        for i in range(len(held)):
            others = np.flatnonzero(group != group[i])
            others = others[:: max(len(others) // max(mismatches_per_clip, 1), 1)][:mismatches_per_clip]
            for j in (i, *others):
                semantic = information(picture[i], sound[j][None], model.correlation)
                sync = synchrony.peaks(held.motion[i], held.onset[j][None], one_is_motion=True)
                both = known[places[[i, j]]]
                mean, std = null_of(model, both, picture[i], sound[j], held.motion[i], held.onset[j], scorer.alike)
                score = float(log_odds(semantic, sync, model.weights)[0])
                pairs.append((places[i], places[j], (score - mean) / std))
    return np.array(pairs)
