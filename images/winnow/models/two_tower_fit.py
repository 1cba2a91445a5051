"""Fitting the two-tower scorer (`models.two_tower`): contrastive, cross-fitted, deterministic, label-free. Needs torch.

A fold's towers are trained on the other folds' clips: a clip's own picture and sound are to be more alike than its
picture with a neighbour's sound and its sound with a neighbour's picture. Clips of one source video are never each
other's neighbours. Wrong pairs among the true ones (dubbed, covered by music) have no common direction to teach.

A few hundred clips of a few hundred numbers each are learnt by heart at once, so both sides are blurred while training:
noise as wide as the features' own deviation, and half of the hidden layer left out. Tuned on worlds of development
seeds, never on their truth while fitting; `tests/bench/avset.py` prints how well it tells planted mismatches in others
(`two_tower`: the area under the ROC curve). The temperature is fixed, not learnt: learnt, it falls until only the
nearest neighbour counts.

Sources: AVSET-10M's retrieval heads (released code: two linear layers a side, symmetric cross-entropy of a batch's
cosines, AdamW at 1e-3, cosine schedule); its widths, batch and temperature are for a million clips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from winnow.models.contrastive import info_nce, linear, one_thread
from winnow.models.copies import Known, fold_of
from winnow.models.corpus import Corpus
from winnow.models.correspondence import cut_features
from winnow.models.correspondence_fit import choose_folds
from winnow.models.two_tower import Tower, TwoTowerModel


@dataclass(frozen=True)
class FitParams:
    """folds: at most so many; hidden, width: of the towers; temperature: divides cosines; noise: added to standardised
    features, their deviations; dropout: share of the hidden layer left out; learning_rate, weight_decay: AdamW's, the
    first falling to 0 along a cosine; batch: pairs at a time; epochs, but between min_steps and max_steps batches;
    max_clips: larger corpora are fitted on a sample of this size; seed: of all that is drawn."""

    folds: int = 8
    hidden: int = 256
    width: int = 64
    temperature: float = 0.2
    noise: float = 1.0
    dropout: float = 0.5
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    batch: int = 256
    epochs: int = 60
    min_steps: int = 150
    max_steps: int = 4_000
    max_clips: int = 50_000
    seed: int = 0


class Side(torch.nn.Module):
    """A tower while it is trained: two linear layers over standardised features, blurred."""

    def __init__(self, inputs: int, params: FitParams, generator: torch.Generator) -> None:
        super().__init__()
        self.noise, self.dropout, self.generator = params.noise, params.dropout, generator
        self.hidden, self.out = (
            linear(inputs, params.hidden, generator),
            linear(params.hidden, params.width, generator),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Vectors (n, width) of features (n, d), with fresh noise."""
        noise = torch.randn(features.shape, generator=self.generator)
        wide = torch.relu(self.hidden(features + self.noise * noise))
        kept = torch.rand(wide.shape, generator=self.generator) >= self.dropout
        return self.out(wide * kept / (1 - self.dropout))

    def frozen(self, mean: np.ndarray, scale: np.ndarray) -> Tower:
        """The tower that scores."""
        plain = {name: value.detach().numpy().copy() for name, value in self.named_parameters()}
        return Tower(
            mean.astype(np.float32),
            scale.astype(np.float32),
            plain["hidden.weight"].T,
            plain["hidden.bias"],
            plain["out.weight"].T,
            plain["out.bias"],
        )


def fit(corpus: Corpus, params: FitParams) -> TwoTowerModel:
    """The model of a corpus, which must allow three folds or more (`correspondence_fit.choose_folds`)."""
    if len(corpus) > params.max_clips:
        rng = np.random.default_rng(params.seed)
        corpus = corpus.take(np.sort(rng.choice(len(corpus), params.max_clips, replace=False)))
    group = corpus.group
    folds = choose_folds(group.tolist(), params.folds)
    fold = np.array([fold_of(name, folds) for name in group.tolist()])
    groups = {video: video for video in corpus.video.tolist()} | dict(corpus.groups)
    known = Known.of(group, corpus.picture, corpus.sound, groups, folds)
    with one_thread():
        towers = [fit_fold(corpus.take(np.flatnonzero(fold != k)), params, k) for k in range(folds)]
    return TwoTowerModel([picture for picture, _ in towers], [sound for _, sound in towers], known)


def fit_fold(corpus: Corpus, params: FitParams, k: int) -> tuple[Tower, Tower]:
    """Both towers from the clips of all folds but the k-th."""
    generator = torch.Generator().manual_seed(params.seed * 1_000 + k)
    sides, modules, plain = [], [], []
    for features in (corpus.picture, corpus.sound):
        mean, scale = features.mean(axis=0), 1 / (features.std(axis=0) + 1e-3)
        plain.append((mean, scale))
        sides.append(torch.from_numpy(cut_features(features, mean, scale).astype(np.float32)))
        modules.append(Side(features.shape[1], params, generator))
    origin = torch.from_numpy(np.unique(corpus.group, return_inverse=True)[1])
    batches = max(round(len(corpus) / params.batch), 1)
    steps = min(max(params.epochs * batches, params.min_steps), params.max_steps)
    weights = [p for module in modules for p in module.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=params.learning_rate, weight_decay=params.weight_decay)
    done = 0
    while done < steps:
        for part in torch.randperm(len(corpus), generator=generator).tensor_split(batches):
            for group in optimiser.param_groups:
                group["lr"] = params.learning_rate * (1 + math.cos(math.pi * done / steps)) / 2
            never = (origin[part][:, None] == origin[part]) & ~torch.eye(len(part), dtype=torch.bool)
            seen, heard = (m(s[part]) for m, s in zip(modules, sides, strict=True))
            loss = info_nce(seen, heard, params.temperature, never)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            done += 1
            if done == steps:
                break
    picture, sound = (m.frozen(*p) for m, p in zip(modules, plain, strict=True))
    return picture, sound


def figures(model: TwoTowerModel, corpus: Corpus, most: int = 500) -> dict[str, float]:
    """How the model does on its own corpus, every clip scored by towers that did not see its group.

    auc: of the cosines of true pairs against those of pairs of two groups of one fold; some of those agree by chance
    and some true pairs are wrong, so 1 is out of reach. A corpus of more than `most` clips is looked at by its first
    ones.
    """
    from sklearn.metrics import roc_auc_score

    from winnow.models.scorers import unit

    corpus = corpus.take(np.arange(min(len(corpus), most)))
    _, fold = model.known.places(corpus.video, corpus.picture, corpus.sound)
    true, false = [], []
    for k, (picture, sound) in enumerate(zip(model.picture, model.sound, strict=True)):
        held = corpus.take(np.flatnonzero(fold == k))
        if len(held):
            cosine = unit(picture(held.picture)) @ unit(sound(held.sound)).T
            true.append(np.diag(cosine))
            false.append(cosine[held.group[:, None] != held.group])
    scores, n = np.concatenate([*true, *false]), sum(map(len, true))
    return {
        "auc": round(float(roc_auc_score(np.arange(len(scores)) < n, scores)), 4),
        "mean_true": round(float(scores[:n].mean()), 4),
        "mean_mismatched": round(float(scores[n:].mean()), 4),
        "pairs_mismatched": len(scores) - n,
    }
