"""Losses of the tasks that take sounds apart.

MixIT (Wisdom et al., 2020; google-research/sound-separation, models/neurips2020_mixit) teaches a separator by mixtures
of two mixtures: each source goes to the one of the two that explains it. CLIPSep-NIT (sony/CLIPSep) teaches masks that
a query asks for, beside noise heads for what no query names.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

#: Soft cap of the signal-to-noise ratio, as a share of the reference's power: 30 dB.
FLOOR, EPS = 1e-3, 1e-8
#: F.binary_cross_entropy's own bound of a logarithm, which released code lives with.
DEEPEST = 100.0


@lru_cache
def assignments(sources: int) -> tuple[tuple[int, ...], ...]:
    """All ways to give each source to mixture 1 (1) or to mixture 2 (0): 2^sources rows."""
    return tuple(product((0, 1), repeat=sources))


def snr_loss(reference: Tensor, estimate: Tensor) -> Tensor:
    """10·log10(‖x − e‖² + 10⁻³‖x‖² + 10⁻⁸): the negative SNR but for ‖x‖², no better than 30 dB; over the last axis."""
    error = ((reference - estimate) ** 2).sum(-1)
    return 10 * torch.log10(error + FLOOR * (reference**2).sum(-1) + EPS)


def mixit(mixtures: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
    """The least mean over two mixtures (B, 2, samples) of the loss of sums of sources (B, M, samples), over all
    assignments: (B,), and for each source 1 where it went to mixture 1, (B, M) without a gradient."""
    ways = torch.tensor(assignments(sources.shape[1]), dtype=sources.dtype, device=sources.device)
    first = torch.einsum("am,bmt->bat", ways, sources)
    second = sources.sum(1, keepdim=True) - first
    losses = (snr_loss(mixtures[:, :1], first) + snr_loss(mixtures[:, 1:], second)) / 2
    best = losses.argmin(1)
    return losses.gather(1, best[:, None])[:, 0], ways[best].detach()


def onscreen(logits: Tensor, assigned: Tensor, mixtures: Tensor) -> Tensor | None:
    """Cross-entropy of on-screen logits (B, M) against where MixIT put each source; None where in every example one of
    the two mixtures is silent, so that nothing follows from where a source went."""
    heard = (mixtures.abs().amax(-1) > 0).all(-1)
    if not heard.any():
        return None
    return F.binary_cross_entropy_with_logits(logits[heard], assigned[heard])


# -- query separation --------------------------------------------------------------------------------------------------
def masks(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross-entropy of mask logits (B, …) against 0/1, the mean over bins of each example: (B,)."""
    return (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight).flatten(1).mean(1)


def either(query: Tensor, noise: Tensor, target: Tensor, weight: Tensor, *, clamp: bool = False) -> Tensor:
    """The same of what a query or a noise head lets through, both logits. p = 1 − (1 − M)(1 − P), so a bin that should
    be silent always pulls at both. `clamp`: min(1, M + P) as released, which has no gradient where the sum passes 1: in
    two bins of three when training begins, and a false one there costs DEEPEST for good."""
    if clamp:
        both = torch.sigmoid(query) + torch.sigmoid(noise)
        p = torch.where(both < 1, both, torch.ones_like(both))
        found = F.binary_cross_entropy(p, target, reduction="none")
    else:
        quiet = -F.softplus(query) - F.softplus(noise)  # log(1 − p)
        loud = torch.log(-torch.expm1(quiet.clamp(max=-1e-7)))
        found = -(target * loud + (1 - target) * quiet)
    return (found * weight).flatten(1).mean(1)


def noise_invariant(query: Tensor, noise: Tensor, target: Tensor, weight: Tensor, *, clamp: bool = False) -> Tensor:
    """Mask logits of two queries and of two noise heads, (B, 2, …), against two masks: for each example the better of
    the two ways to pair heads with queries, (B,)."""

    def paired(*heads: int) -> Tensor:
        each = [either(query[:, k], noise[:, head], target[:, k], weight, clamp=clamp) for k, head in enumerate(heads)]
        return (each[0] + each[1]) / 2

    return torch.minimum(paired(0, 1), paired(1, 0))


def noise_share(noise: Tensor, room: float) -> Tensor:
    """How much more than `room` the noise heads let through, P_0 + P_1, on the mean over batch and bins."""
    return torch.relu(torch.sigmoid(noise).sum(1).mean() - room)


def saturated(query: Tensor, noise: Tensor) -> Tensor:
    """Share of bins in which M + P ≥ 1: where the released clamp has no gradient."""
    return ((torch.sigmoid(query) + torch.sigmoid(noise)) >= 1).to(query.dtype).mean()
