"""How far a correspondence scorer's z, and what follows from it, depends on which clips it was fitted on.

Fitting leaves out two folds at a time anyway, to measure what must be measured on clips that were not fitted on. The
same towers score the clips of either of the two folds as a fit without the other one would: a delete-a-group jackknife
(B. Efron, C. Stein, The jackknife estimate of variance, 1981) that costs no fit. What it leaves as it is: correlations
and weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from winnow.models import synchrony
from winnow.models.corpus import Corpus
from winnow.models.correspondence import FoldModel, Tower, information, log_odds, mismatches

#: Least deviation of a null, log-odds. A handful of pairs can agree by chance, and a scorer that learnt nothing
#: scores all pairs alike; neither may turn a small difference into a z of hundreds.
MIN_NULL_STD = 0.25
#: The z at which the house's rule takes a pair, and clips of a fold that tell how stable that is.
RULE_Z, SHAKEN = 1.645, 64


def stability(
    shaken: Sequence[tuple[FoldModel, Corpus, np.ndarray, Mapping[int, tuple[Tower, Tower]]]], alike: float
) -> tuple[np.ndarray, float]:
    """What leaving one more fold's groups out of the towers does: `Scorer.left_out` and `Scorer.refit_std`.

    shaken: of each fold its model, its clips, the numbers of their groups, and by fold that was left out too the towers
    without it. Correlations and weights stay as they are; the first SHAKEN clips of each fold are looked at, against a
    null of their own.
    """
    folds = len(shaken)
    left_out, variances = np.zeros((folds, 2), np.int64), []
    for model, clips, number, others in shaken:
        held, of = clips.take(np.arange(min(len(clips), SHAKEN))), number[:SHAKEN]
        before = _own_z(model, held, of, (model.picture, model.sound), alike)
        after = {j: _own_z(model, held, of, towers, alike) for j, towers in others.items()}
        for j, z in after.items():
            left_out[j] += len(z), int(((z >= RULE_Z) != (before >= RULE_Z)).sum())
        drawn = np.array(list(after.values()))
        variances.append((len(drawn) - 1) * drawn.var(axis=0))
    return left_out, float(np.sqrt(np.concatenate(variances).mean()))


def _own_z(model: FoldModel, held: Corpus, group: np.ndarray, towers: tuple[Tower, Tower], alike: float) -> np.ndarray:
    """z (n,) of clips by a fold's model with other towers, these clips being the bank."""
    a, b = towers[0](held.picture), towers[1](held.sound)
    bank = replace(
        model,
        picture=towers[0],
        sound=towers[1],
        bank_picture=a,
        bank_sound=b,
        bank_motion=held.motion,
        bank_onset=held.onset,
        bank_group=group,
    )
    sides = list(zip(group, a, b, held.motion, held.onset, strict=True))
    null = [mismatches(bank, [of], one, other, m, o, alike) for of, one, other, m, o in sides]
    every = np.concatenate(null)
    mean, deviation = (every.mean(), max(every.std(), MIN_NULL_STD)) if len(every) else (0.0, 1.0)
    semantic = np.array([information(one, other[None], model.correlation)[0] for _, one, other, *_ in sides])
    sync = np.array([synchrony.peaks(m, o[None], one_is_motion=True)[0] for *_, m, o in sides])
    score = log_odds(semantic, sync, model.weights)
    centre = np.array([(own.mean() + mean) / 2 if len(own) else mean for own in null])
    spread = np.array([np.sqrt((own.var() + deviation**2) / 2) if len(own) else deviation for own in null])
    return (score - centre) / spread
