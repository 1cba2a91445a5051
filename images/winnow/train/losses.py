"""Loss terms, each a scalar in float32; None where a batch has nothing to compare (counted, never zeros in its place).

Sources: jasongief/CPSP (losses.py), YapengTian/AVE-ECCV18, YapengTian/AVVP-ECCV20; what their code does otherwise than
it says is corrected here, and named in `winnow.train.config.FAITHFUL` where it can be switched back.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from winnow.train.nets.common import weighted

EPS = 1e-7
SEGMENT_TEMPERATURE, NCE_TEMPERATURE, VIDEO_TEMPERATURE = 0.6, 0.1, 0.2


# -- event localisation ------------------------------------------------------------------------------------------------
def events(logits: Tensor, labels: Tensor) -> Tensor:
    """Is there an event: logits and 0/1 labels, (B, T)."""
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def category(logits: Tensor, target: Tensor) -> Tensor:
    """Which category a clip is of: (B, C), (B,)."""
    return F.cross_entropy(logits, target)


def seconds(scores: Tensor, target: Tensor, *, squashed: bool = False) -> Tensor:
    """Which category, or background, each second is of: (B, T, C + 1), (B, T). `squashed`: the released loss of AVE,
    which takes a softmax's output for logits."""
    if squashed:
        one_hot = F.one_hot(target, scores.shape[-1]).to(scores.dtype)
        return F.multilabel_soft_margin_loss(scores.softmax(-1).flatten(0, 1), one_hot.flatten(0, 1))
    return F.cross_entropy(scores.flatten(0, 1), target.flatten())


def pooled(event: Tensor, category_logits: Tensor) -> Tensor:
    """What a clip is said to be of, from seconds, as released: (B, T), (B, C) → (B, C). Of a category whose logit is
    below 0 the maximum is the second with the least of an event, which every wrong category then makes more of one."""
    return (torch.sigmoid(event)[..., None] * category_logits[:, None]).amax(1)


def foreground(scores: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What a clip is said to be of, and what the rest of it is, of scores of categories and, last, background:
    (B, T, C + 1) → (B, C) twice: means of its seconds by how much, and how little, each is an event; the first also by
    weights (B, T) that a network gives them."""
    event = eventful(scores)
    there = torch.sigmoid(event) if weights is None else torch.sigmoid(event) * weights
    return weighted(scores[..., :-1], there), weighted(scores[..., :-1], torch.sigmoid(-event))


def eventful(scores: Tensor) -> Tensor:
    """Logit of a second being an event, above 0 where a category and not background is answered: of scores of
    categories and, last, background, (B, T, C + 1) → (B, T)."""
    return scores[..., :-1].amax(-1) - scores[..., -1]


def half(event: Tensor) -> Tensor:
    """How far the share of a batch's seconds that is an event is from a half, of logits (B, T): ln 2 less the entropy
    of that share, 0 to ln 2. Means by weights do not say at which level an event begins; this does."""
    share = torch.sigmoid(event).mean().clamp(EPS, 1 - EPS)
    return math.log(2) + share * share.log() + (1 - share) * (1 - share).log()


def whole(logits: Tensor, target: Tensor, *, squashed: bool = False) -> Tensor:
    """A clip's pooled logits against its labels, both (B, C). `squashed`: after a softmax, as released: the loss then
    moves between 0.68 and 0.71 at 28 categories, and hardly teaches."""
    if target.shape != logits.shape:
        raise ValueError(f"labels of clips are {tuple(target.shape)}, logits {tuple(logits.shape)}: no broadcasting")
    return F.multilabel_soft_margin_loss(logits.softmax(-1) if squashed else logits, target.to(logits.dtype))


def pairs(audio: Tensor, visual: Tensor, labels: Tensor) -> Tensor | None:
    """Pair similarity (AVPS): a clip's cosines of both sides, as shares, against its event seconds as shares."""
    has = labels.any(1)
    if not has.any():
        return None
    target = labels[has].to(audio.dtype)
    similar = torch.relu(F.cosine_similarity(audio[has], visual[has], dim=-1))
    shares = similar / similar.sum(1, keepdim=True).clamp_min(1e-12)
    return F.mse_loss(shares, target / target.sum(1, keepdim=True))


def segments(fused: Tensor, labels: Tensor, *, wrong_axis: bool = False) -> Tensor | None:
    """Contrast of a clip's seconds (SPSA): each event second with its event seconds (itself too) against the mean of
    its background seconds; mean over a clip's event seconds, then over clips with events. A clip without background
    gives 0; None where every clip is one or has no event."""
    event = labels.bool()
    count = event.sum(1)
    has, mixed = count > 0, (count > 0) & ~event.all(1)
    if not mixed.any():
        return None
    unit = F.normalize(fused, dim=-1)
    likeness = unit @ unit.transpose(1, 2) / SEGMENT_TEMPERATURE
    if wrong_axis:
        return _columns(likeness, event, count)[has].mean()
    alike = likeness.masked_fill(~event[:, None], -torch.inf)
    apart = likeness.masked_fill(event[:, None], -torch.inf)[mixed]
    log_apart = apart.logsumexp(-1) - torch.log((~event[mixed]).sum(1).to(apart.dtype))[:, None]
    each = F.softplus(log_apart - alike[mixed].logsumexp(-1)) * event[mixed]
    return (each.sum(1) / count[mixed]).sum() / has.sum()


def _columns(likeness: Tensor, event: Tensor, count: Tensor) -> Tensor:
    """The released sum: over rows instead of columns, so event columns have ratio 1 and background ones 0."""
    raised, row = likeness.exp(), event[:, :, None]
    positive = (raised * (row & event[:, None])).sum(1)
    negative = (raised * (row & ~event[:, None])).sum(1)
    ratio = positive / (positive + negative).clamp_min(1e-12)
    return -torch.log(ratio + 1e-12).sum(1) / count.clamp_min(1)


def videos(fused: Tensor, target: Tensor, margin: float, k: int, *, all_k: bool = False) -> Tensor | None:
    """Contrast of clips (VPSA): the farthest clip of the same category (itself counts) is to be nearer, by a margin,
    than the k nearest of other categories are on average; as many as there are where a batch has fewer, and None where
    it has none. `all_k`: None where it has fewer than k, as released."""
    mean = F.normalize(fused, dim=-1).mean(1)
    square = ((mean[:, None] - mean[None]) ** 2).sum(-1)
    distance = torch.sqrt(square.clamp_min(1e-12))
    same = target[:, None] == target[None]
    others = (~same).sum(1)
    used = others >= (k if all_k else 1)
    if not used.any():
        return None
    farthest = distance.masked_fill(~same, -torch.inf).amax(1)
    nearest = distance.masked_fill(same, torch.inf).sort(1).values[:, :k]
    take = torch.arange(nearest.shape[1], device=nearest.device) < others[:, None]
    near = torch.where(take, nearest, torch.zeros_like(nearest)).sum(1) / take.sum(1).clamp_min(1)
    return torch.relu(farthest - near + margin)[used].mean()


def contrast_of_seconds(audio: Tensor, visual: Tensor) -> Tensor | None:
    """SSPSP's label-free contrast: each second's sound against the pictures of all seconds of the batch."""
    heard, seen = F.normalize(audio.flatten(0, 1), dim=-1), F.normalize(visual.flatten(0, 1), dim=-1)
    if len(heard) < 2:
        return None
    return F.cross_entropy(heard @ seen.T / NCE_TEMPERATURE, torch.arange(len(heard), device=heard.device))


# -- video parsing -----------------------------------------------------------------------------------------------------
def probabilities(p: Tensor, target: Tensor) -> Tensor:
    """Pooled probabilities against labels, both (B, C); cut to where logarithms are finite."""
    return F.binary_cross_entropy(p.clamp(EPS, 1 - EPS), target.to(p.dtype))


def matching(audio: Tensor, seen: Tensor, smoothing: float = 0.1) -> Tensor:
    """Each second's sound is to find its own second among the pictures of its clip, (B, T, d) both: cross-entropy with
    `smoothing` shared out over the other seconds."""
    logits = F.normalize(audio, dim=-1) @ F.normalize(seen, dim=-1).transpose(1, 2) / VIDEO_TEMPERATURE
    n = logits.shape[-1]
    own = torch.eye(n, dtype=logits.dtype, device=logits.device)
    target = own * (1 - smoothing) + (1 - own) * (smoothing / max(n - 1, 1))
    return -(target * logits.log_softmax(-1)).sum(-1).mean()


def common(x: Tensor, labels: Tensor, ratio: float = 0.9, *, drop: bool = False) -> Tensor | None:
    """Contrast of clips by their labels: x (B, d), labels (B, C) of 0/1. Positives share `ratio` of a clip's labels,
    negatives none; mean over clips that have negatives, None where none has. `drop`: None as soon as one has not."""
    unit, labels = F.normalize(x, dim=-1), labels.to(x.dtype)
    shared = labels @ labels.T
    positive = shared / labels.sum(1, keepdim=True).clamp_min(1) >= ratio
    negative = shared == 0
    used = negative.any(1) & positive.any(1)
    if not used.any() or (drop and not used.all()):
        return None
    raised = torch.exp(unit @ unit.T / VIDEO_TEMPERATURE)
    near = (raised * positive).sum(1) / positive.sum(1).clamp_min(1)
    far = (raised * negative).sum(1) / negative.sum(1).clamp_min(1)
    return -torch.log(near[used] / (near + far)[used]).mean()
