"""The baselines of event localisation: A+V-att and DMRN (AVE, ECCV 2018), AVSDN (ICASSP 2019).

Maps come channels last, (B, T, P, D), whatever network made them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from winnow.train.nets.common import Attention, Heads, Residual, recurrent
from winnow.train.sizes import Sizes


class Attended(nn.Module):
    """A+V-att: both sides through recurrent layers, joined: `scores` (B, T, C + 1)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        half = sizes.wide(128)
        self.attention = Attention(sizes.audio, sizes.visual, sizes.positions, sizes.wide(512))
        self.audio, self.visual = recurrent(sizes.audio, half), recurrent(sizes.visual, half)
        self.hidden, self.out = nn.Linear(4 * half, sizes.wide(64)), nn.Linear(sizes.wide(64), sizes.classes + 1)

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        seen = self.visual(self.attention(audio, visual))[0]
        joined = torch.relu(torch.cat([self.audio(audio)[0], seen], -1))
        return {"scores": self.out(torch.relu(self.hidden(joined)))}


class DMRN(nn.Module):
    """The dual residual block over both recurrent layers; `event` and `category`."""

    def __init__(self, sizes: Sizes, pool: str = "mean") -> None:
        super().__init__()
        half = sizes.wide(128)
        self.attention = Attention(sizes.audio, sizes.visual, sizes.positions, sizes.wide(512))
        self.audio, self.visual = recurrent(sizes.audio, half), recurrent(sizes.visual, half)
        self.block, self.heads = Residual(2 * half), Heads(2 * half, sizes.classes, pool)

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        seen = self.visual(self.attention(audio, visual))[0]
        return self.heads(self.block(self.audio(audio)[0], seen))


class AVSDN(nn.Module):
    """Encoders of both sides; their last states, through one residual block, begin a decoder over sound and attended
    picture of each second; `event` and `category`."""

    def __init__(self, sizes: Sizes, pool: str = "mean") -> None:
        super().__init__()
        half = sizes.wide(128)
        self.attention = Attention(sizes.audio, sizes.visual, sizes.positions, sizes.wide(512))
        self.audio, self.visual = recurrent(sizes.audio, half), recurrent(sizes.visual, half)
        self.block = Residual(half)
        self.decoder, self.heads = recurrent(sizes.audio + sizes.visual, half), Heads(2 * half, sizes.classes, pool)

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        seen = self.attention(audio, visual)
        heard_state, seen_state = self.audio(audio)[1], self.visual(seen)[1]
        state = tuple(self.block(torch.relu(a), torch.relu(v)) for a, v in zip(heard_state, seen_state, strict=True))
        out = self.decoder(torch.cat([audio, seen], -1), state)[0]
        return self.heads(torch.relu(out))
