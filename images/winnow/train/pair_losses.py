"""The contrast of pairs (InfoNCE): a clip's sound and picture are to be nearer than those of different clips.

Cosines divided by a temperature, cross-entropy both ways. Clips of one source video are no negatives of each other:
they are near-duplicates. Under torch.distributed the negatives are those of all ranks, with their gradients.
Sources: AVSET-10M (which has those of its own process alone), ACAV100M.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, distributed


def info_nce(first: Tensor, second: Tensor, temperature: float, video: Tensor | None = None) -> Tensor | None:
    """Mean cross-entropy over rows and columns of (B, d), (B, d). video: (B,), equal where two clips are of one source.
    Clips without a negative count in no mean; None where none has one."""
    video = torch.arange(len(first), device=first.device) if video is None else video
    cosine = F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).T
    return contrast(cosine / temperature, video)


def contrast(logits: Tensor, video: Tensor) -> Tensor | None:
    """The same of logits (B, B)."""
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    never = (video[:, None] == video[None]) & ~own
    used = (~never & ~own).any(1)
    if not used.any():
        return None
    logits = logits.masked_fill(never, -torch.inf)
    at = torch.arange(len(logits), device=logits.device)[used]
    return (F.cross_entropy(logits[used], at) + F.cross_entropy(logits.T[used], at)) / 2


def quarters(first: Tensor, second: Tensor, temperature: float, video: Tensor) -> Tensor | None:
    """The released loss of four processes: each contrasts its own quarter of the batch."""
    parts = [
        info_nce(one, other, temperature, own)
        for one, other, own in zip(first.chunk(4), second.chunk(4), video.chunk(4), strict=True)
    ]
    there = [part for part in parts if part is not None]
    return torch.stack(there).mean() if there else None


class _Gather(torch.autograd.Function):
    """Rows of all ranks, in their order. Each rank computes the whole loss, so the gradient of its own rows is whole,
    times the number of ranks, because gradients of weights are averaged over them afterwards."""

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        ctx.size = len(rows)
        found = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(found, rows.contiguous())
        return torch.cat(found)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        at = distributed.get_rank() * ctx.size
        return gradient[at : at + ctx.size] * distributed.get_world_size()


def gathered(rows: Tensor) -> Tensor:
    """The rows of all ranks, which have as many each; the rows themselves without torch.distributed."""
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return rows
    return _Gather.apply(rows)
