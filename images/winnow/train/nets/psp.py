"""Positive sample propagation: PSP (2021) and the family of CPSP.

Sound and picture of any two seconds are compared; weak pairs are cut off, and each side takes over the other's features
along the pairs that stay. PSP scores every second over categories and background; CPSP and SSPSP have an event logit a
second and one category a clip. Sources: jasongief/PSP_CVPR_2021, jasongief/CPSP.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from winnow.train.nets.common import Attention, Heads, recurrent
from winnow.train.sizes import Sizes

DROPOUT = 0.1


def kept(similarity: Tensor, threshold: float, again: bool = True) -> Tensor:
    """Rows of similarities, not negative, as shares of which those at or below the threshold are 0; normalised again
    unless told otherwise: (B, T, T), in float32 or wider."""
    rows = similarity if similarity.dtype == torch.float64 else similarity.float()
    rows = rows / (rows.sum(-1, keepdim=True) + 1e-8)
    rows = rows * (rows > threshold)
    return rows / (rows.sum(-1, keepdim=True) + 1e-8) if again else rows


class Propagation(nn.Module):
    """(B, T, width) of sound and of pictures → (fused, audio, visual), each (B, T, width).

    `simple` is the weakly supervised one of 2021: no second normalisation, no layer after the sum.
    """

    def __init__(self, width: int, threshold: float, simple: bool = False) -> None:
        super().__init__()
        self.threshold, self.simple, self.scale = threshold, simple, math.sqrt(width)
        self.v1, self.v2, self.a1, self.a2 = (nn.Linear(width, width, bias=False) for _ in range(4))
        if not simple:
            self.v_out, self.a_out = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.norm, self.dropout = nn.LayerNorm(width, eps=1e-6), nn.Dropout(DROPOUT)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        v1, v2, a1, a2 = (
            self.dropout(torch.relu(layer(x)))
            for layer, x in ((self.v1, visual), (self.v2, visual), (self.a1, audio), (self.a2, audio))
        )
        pairs = torch.relu(v2 @ a1.transpose(1, 2) / self.scale)
        from_audio = kept(pairs, self.threshold, not self.simple).to(a2.dtype)
        from_visual = kept(pairs.transpose(1, 2), self.threshold, not self.simple).to(v1.dtype)
        visual, audio = visual + from_audio @ a2, audio + from_visual @ v1
        if not self.simple:
            visual, audio = torch.relu(self.v_out(visual)), torch.relu(self.a_out(audio))
        visual, audio = self.norm(self.dropout(visual)), self.norm(self.dropout(audio))
        return (visual + audio) / 2, audio, visual


class PSP(nn.Module):
    """Answers `scores` (B, T, C + 1) with head softmax, `event` and `category` with head event; and `fused`, `audio`,
    `visual` (B, T, width) of the propagation. `weak_2021`: the weakly supervised network of PSP, which
    also weighs seconds: `weights` (B, T) of 0.5 to 1."""

    def __init__(
        self, sizes: Sizes, threshold_share: float, head: str = "event", weak_2021: bool = False, pool: str = "mean"
    ) -> None:
        super().__init__()
        wide = sizes.wide
        half, width = wide(128), 2 * wide(128)
        self.weak_2021 = weak_2021
        if weak_2021:
            self.to_visual = nn.Linear(sizes.visual, half)
            heard = sizes.audio
        else:
            self.to_audio = _pair(sizes.audio, width, half)
            self.to_visual = _pair(sizes.visual, width, half)
            heard = half
        self.attention = Attention(heard, sizes.visual, sizes.positions, wide(512))
        self.audio, self.visual = recurrent(heard, half), recurrent(half, half)
        self.propagate = Propagation(width, threshold_share / sizes.seconds, simple=weak_2021)
        if head == "softmax":
            self.heads = nn.Sequential(nn.Linear(width, wide(64)), nn.Linear(wide(64), sizes.classes + 1))
            if weak_2021:
                self.weight = nn.Linear(sizes.classes + 1, 1)
        else:
            self.heads = Heads(width, sizes.classes, pool)
        self.head = head

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        if not self.weak_2021:
            audio = self.to_audio(audio)
        seen = self.to_visual(self.attention(audio, visual))
        fused, heard, seen = self.propagate(self.audio(audio)[0], self.visual(seen)[0])
        out = {"fused": fused, "audio": heard, "visual": seen}
        if self.head == "event":
            return out | self.heads(fused)
        scores = self.heads(fused)
        out["scores"] = scores
        if self.weak_2021:
            out["weights"] = torch.sigmoid(torch.relu(self.weight(scores))).squeeze(-1)
        return out


def _pair(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden, bias=False), nn.Linear(hidden, outputs, bias=False))
