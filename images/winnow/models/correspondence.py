"""The correspondence scorer: how much likelier a clip's sound is with its own picture than by chance.

Fitted on the corpus itself, without labels: a clip's own picture and sound are a true pair, those of two videos a
false one. Two parts, each a number per pair:

- semantic: what is seen against what is heard. Both are projected to canonical variates, and the pair's pointwise
  mutual information under the Gaussian model of canonical correlation is taken (Bach & Jordan, A probabilistic
  interpretation of canonical correlation analysis, 2005). It needs covariances only, so it can be fitted on a hundred
  clips and does not grow with a million; the correlations enter as measured on clips that the variates were not
  fitted on, so that directions which only fit noise count for nothing.
- sync: whether they move together (`models.synchrony`).

A logistic regression on true and false pairs weighs the two; its log-odds are the score. Wrong pairs among the true
ones (dubbed, covered by music) flatten it evenly but do not turn it: they carry no common direction.

**Folds.** Groups of videos that are copies of each other, or a video by itself, are mapped to one of K folds by a hash
(`models.copies`). Fold k's model is fitted on the groups of the other folds only, and a clip is always scored by its
own fold's model. A clip that comes in a later batch falls in some fold k too; either it agrees with nothing in the
fitted batches, or it is of a group of fold k of them: in both cases model k never saw it.

**Null.** Each fold's model keeps a bank of its own fold's clips, which it was not fitted on. A clip's picture is
paired with the bank's sounds and its sound with the bank's pictures, never within one group, and never with the
quarter of the bank that looks most like the clip: in a small corpus those show the same thing, and their sounds would
be no mismatch. Mean and deviation of those scores, averaged with the whole fold's, turn the score into z.

**Error.** A z has two: of the null, whose mean and deviation are those of a finite bank, and of the fit, which another
corpus would make another. The second is the same for all clips: the root mean square of the delete-a-group jackknife's
(B. Efron, C. Stein 1981) over clips of the banks, scored by towers that left one more fold out. `z_error` is both.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from winnow.models import synchrony
from winnow.models.copies import Known

#: Standardised features are cut here: one wild value must not rule a covariance.
FEATURE_LIMIT = 4.0
#: The semantic part is cut here, nats: beyond it a pair is as good or as bad as certain.
SEMANTIC_LIMIT = 15.0
#: Canonical correlations are cut here: near 1 the mutual information grows without bound.
MAX_CORRELATION = 0.95


@dataclass(frozen=True)
class Tower:
    """One side's way from features to canonical variates: standardise, cut, project.

    mean, scale: (d,); projection: (d, q); offset: (q,). All float64.
    """

    mean: np.ndarray
    scale: np.ndarray
    projection: np.ndarray
    offset: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Canonical variates (…, q) of features (…, d)."""
        return cut_features(features, self.mean, self.scale) @ self.projection + self.offset

    def narrowed(self, keep: np.ndarray, by: np.ndarray) -> Tower:
        """The same with only these variates (their places), divided by `by`."""
        return Tower(self.mean, self.scale, self.projection[:, keep] / by, self.offset[keep] / by)


@dataclass(frozen=True)
class FoldModel:
    """What scores the clips of one fold.

    picture, sound: towers; correlation: (q,), held-out canonical correlations; weights: (3,), log-odds per nat of the
    semantic part, per unit of sync, and the constant; bank_*: m clips of the fold: variates (m, q), prepared
    envelopes, numbers of their groups; null_mean, null_std: of the bank's mismatched pairs.
    """

    picture: Tower
    sound: Tower
    correlation: np.ndarray
    weights: np.ndarray
    bank_picture: np.ndarray
    bank_sound: np.ndarray
    bank_motion: np.ndarray
    bank_onset: np.ndarray
    bank_group: np.ndarray
    null_mean: float
    null_std: float


#: Fields of a fold's model that are no arrays.
APART = frozenset({"picture", "sound", "null_mean", "null_std"})


@dataclass(frozen=True)
class Scorer:
    """All folds' models; `alike` is the share of the bank, by likeness of picture, that is no mismatch; `known`: the
    clips that it was fitted on; `left_out` (folds, 2), int64: clips that were scored by towers that left this fold out
    too, and how many of their decisions flipped by it; `refit_std`: how far a z scatters by the fit."""

    folds: Sequence[FoldModel]
    alike: float
    known: Known
    left_out: np.ndarray
    refit_std: float

    def score(
        self, video_id: str, picture: np.ndarray, sound: np.ndarray, motion: np.ndarray, onset: np.ndarray
    ) -> dict[str, object]:
        """One clip's columns: score (log-odds that its sound is its own), z and its standard error, semantic (nats),
        sync (−1 … 1), null_mean, null_std, fold.

        picture, sound: all layers joined, (d,); motion, onset: envelopes on the common grid, (n,).
        """
        group, fold = self.known.find(video_id, picture, sound)
        model = self.folds[fold]
        a, b = model.picture(picture), model.sound(sound)
        m, o = synchrony.prepared(motion), synchrony.prepared(onset)
        semantic = float(information(a, b[None], model.correlation)[0])
        sync = float(synchrony.peaks(m, o[None], one_is_motion=True)[0])
        score = float(log_odds(np.array([semantic]), np.array([sync]), model.weights)[0])
        mean, std = null_of(model, [group], a, b, m, o, self.alike)
        values = {
            "score": score,
            "z": (score - mean) / std,
            "z_error": self.error((score - mean) / std, int((model.bank_group != group).sum())),
            "semantic": semantic,
            "sync": sync,
            "null_mean": mean,
            "null_std": std,
        }
        return {**{name: round(value, 6) for name, value in values.items()}, "fold": fold}

    def error(self, z: float, bank: int) -> float:
        """Standard error of a z whose null comes from so many clips: theirs and the fit's.

        n of them give 2 n scores, which make up half of the null's mean and of its variance; the whole fold's, the
        other half, are n times as many. By the delta method that is (1 + z² / 2) / 8 n.
        """
        drawn = max(int(np.ceil(bank * (1 - self.alike))), 2)
        return float(np.sqrt(self.refit_std**2 + (1 + z**2 / 2) / (8 * drawn)))

    def dumps(self) -> bytes:
        """The scorer as an uncompressed .npz without pickles: equal scorers give equal bytes."""
        arrays: dict[str, np.ndarray] = {"folds": np.array(len(self.folds)), "alike": np.array(self.alike)}
        arrays |= self.known.arrays() | {"left_out": self.left_out, "refit_std": np.array(self.refit_std)}
        for k, model in enumerate(self.folds):
            for field in fields(FoldModel):
                value = getattr(model, field.name)
                parts = (
                    {f"_{f.name}": getattr(value, f.name) for f in fields(Tower)}
                    if isinstance(value, Tower)
                    else {"": value}
                )
                arrays |= {f"{k}_{field.name}{part}": np.asarray(array) for part, array in parts.items()}
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        return file.getvalue()

    @classmethod
    def loads(cls, data: bytes) -> Scorer:
        """Read what `dumps` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            models = []
            for k in range(int(arrays["folds"])):
                picture, sound = (
                    Tower(*(arrays[f"{k}_{side}_{f.name}"] for f in fields(Tower))) for side in ("picture", "sound")
                )
                mean, std = (float(arrays[f"{k}_{name}"]) for name in ("null_mean", "null_std"))
                rest = {f.name: arrays[f"{k}_{f.name}"] for f in fields(FoldModel) if f.name not in APART}
                models.append(FoldModel(picture=picture, sound=sound, null_mean=mean, null_std=std, **rest))
            known = Known.read(arrays, len(models))
            return cls(models, float(arrays["alike"]), known, arrays["left_out"], float(arrays["refit_std"]))


def joined(row: Mapping[str, object], columns: Sequence[str]) -> np.ndarray:
    """A row's layers end to end: float64, (sum of sizes,)."""
    return np.concatenate([np.asarray(row[column], np.float64) for column in columns])


def cut_features(features: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Standardised features within ±FEATURE_LIMIT."""
    return np.clip((features - mean) * scale, -FEATURE_LIMIT, FEATURE_LIMIT)


def information(one: np.ndarray, many: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Pointwise mutual information, nats, of variates (q,) with each of the other side's (m, q), without the constant
    that all pairs share, within ±SEMANTIC_LIMIT. Symmetric in the two sides. Returns (m,)."""
    rest = 1 - correlation**2
    cross, own = correlation / rest, correlation**2 / rest / 2
    value = (many * (one * cross)).sum(axis=-1) - (one**2 * own).sum(axis=-1) - (many**2 * own).sum(axis=-1)
    return np.clip(value, -SEMANTIC_LIMIT, SEMANTIC_LIMIT)


def log_odds(semantic: np.ndarray, sync: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The score of pairs from their two parts."""
    return semantic * weights[0] + sync * weights[1] + weights[2]


def unlike(correlation: np.ndarray, picture: np.ndarray, bank: np.ndarray, alike: float) -> np.ndarray:
    """Which of the bank's clips look different: all but the share `alike` that is nearest in direction.

    picture: variates (q,), bank: (m, q). Returns bool, (m,); ties are broken by place.
    """
    weighted = bank * correlation
    likeness = weighted @ (picture * correlation) / np.maximum(np.linalg.norm(weighted, axis=1), 1e-9)
    keep = np.zeros(len(bank), bool)
    keep[np.argsort(likeness, kind="stable")[: max(int(np.ceil(len(bank) * (1 - alike))), 2)]] = True
    return keep


def mismatches(
    model: FoldModel,
    groups: Sequence[int] | np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    motion: np.ndarray,
    onset: np.ndarray,
    alike: float,
) -> np.ndarray:
    """Scores of a clip's picture with the bank's sounds, then of its sound with the bank's pictures, for the bank's
    clips that look different and are of none of these groups (the clip's own). Returns (2 k,)."""
    place = np.flatnonzero(~np.isin(model.bank_group, groups))
    place = place[unlike(model.correlation, a, model.bank_picture[place], alike)] if len(place) else place
    semantic = np.concatenate(
        [
            information(a, model.bank_sound[place], model.correlation),
            information(b, model.bank_picture[place], model.correlation),
        ]
    )
    sync = np.concatenate(
        [
            synchrony.peaks(motion, model.bank_onset[place], one_is_motion=True),
            synchrony.peaks(onset, model.bank_motion[place], one_is_motion=False),
        ]
    )
    return log_odds(semantic, sync, model.weights)


def null_of(
    model: FoldModel,
    groups: Sequence[int] | np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    motion: np.ndarray,
    onset: np.ndarray,
    alike: float,
) -> tuple[float, float]:
    """Mean and deviation of a clip's null distribution: its own mismatches and the whole fold's, half and half,
    because its own are few and the fold's do not know which clips agree with everything."""
    own = mismatches(model, groups, a, b, motion, onset, alike)
    if not len(own):
        return model.null_mean, model.null_std
    mean = (float(own.mean()) + model.null_mean) / 2
    return mean, float(np.sqrt((own.var() + model.null_std**2) / 2))
