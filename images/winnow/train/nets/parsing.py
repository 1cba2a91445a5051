"""Video parsing (LLP): the hybrid attention network HAN, and propagation of positive samples in its place.

Both answer, for sound and for pictures, a probability of every second and class, and pooled ones of each side and of
the clip. Sources: YapengTian/AVVP-ECCV20, jasongief/CPSP (cpsp_avvp). The weights over time and over the two sides
multiply without being normalised together, so the clip's pooled value can pass 1: it is cut where it is used, as
released."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from winnow.train.nets.common import recurrent
from winnow.train.nets.psp import Propagation
from winnow.train.sizes import Sizes

DROPOUT = 0.1


class Inputs(nn.Module):
    """Sound, and pictures with what moves, at one width: two of (B, T, wide)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        wide = sizes.wide(512)
        self.audio, self.visual = nn.Linear(sizes.audio, wide), nn.Linear(sizes.visual, wide)
        self.moving = nn.Linear(sizes.moving, wide) if sizes.moving else None
        self.joined = nn.Linear(2 * wide if sizes.moving else wide, wide)

    def forward(self, audio: Tensor, visual: Tensor, moving: Tensor | None = None) -> tuple[Tensor, Tensor]:
        seen = self.visual(visual).mean(2)
        if self.moving is not None:
            seen = torch.cat([seen, self.moving(moving)], -1)
        return self.audio(audio), self.joined(seen)


class Hybrid(nn.Module):
    """One layer for both sides, its weights shared: what it finds in the other side and in its own is added up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = nn.MultiheadAttention(width, 1, DROPOUT, batch_first=True)
        self.other = nn.MultiheadAttention(width, 1, DROPOUT, batch_first=True)
        self.out = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(width, width))
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.drop_own, self.drop_other, self.drop_out = (nn.Dropout(DROPOUT) for _ in range(3))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        across = self.other(x, y, y, need_weights=False)[0]
        within = self.own(x, x, x, need_weights=False)[0]
        x = self.first(x + self.drop_other(across) + self.drop_own(within))
        return self.second(x + self.drop_out(self.out(x)))


class Pooling(nn.Module):
    """Attentive pooling of multimodal instances: (B, T, wide) of both sides → `segments` (B, T, 2, C), sound first;
    `modalities` (B, 2, C) and `clip` (B, C), pooled."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.probability, self.when, self.which = (nn.Linear(width, classes) for _ in range(3))

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        both = torch.stack([audio, visual], 2)
        p = torch.sigmoid(self.probability(both))
        when, which = self.when(both).softmax(1), self.which(both).softmax(2)
        return {"segments": p, "modalities": (when * p).sum(1), "clip": (when * which * p).sum((1, 2))}


class HAN(nn.Module):
    """Hybrid attention and pooling."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        wide = sizes.wide(512)
        self.inputs, self.layer, self.pool = Inputs(sizes), Hybrid(wide), Pooling(wide, sizes.classes)

    def forward(self, audio: Tensor, visual: Tensor, moving: Tensor | None = None) -> dict[str, Tensor]:
        heard, seen = self.inputs(audio, visual, moving)
        return self.pool(self.layer(heard, seen), self.layer(seen, heard))


class ParsingCPSP(nn.Module):
    """Recurrent layers and propagation before the pooling; also `audio`, `visual` (B, T, wide) after the propagation
    and `seen`, the pictures' input, for the losses."""

    def __init__(self, sizes: Sizes, threshold_share: float) -> None:
        super().__init__()
        wide = sizes.wide(512)
        self.inputs, self.pool = Inputs(sizes), Pooling(wide, sizes.classes)
        self.audio, self.visual = recurrent(wide, wide // 2), recurrent(wide, wide // 2)
        self.propagate = Propagation(wide, threshold_share / sizes.seconds)

    def forward(self, audio: Tensor, visual: Tensor, moving: Tensor | None = None) -> dict[str, Tensor]:
        heard, seen = self.inputs(audio, visual, moving)
        _, of_audio, of_visual = self.propagate(self.audio(heard)[0], self.visual(seen)[0])
        return self.pool(of_audio, of_visual) | {"audio": of_audio, "visual": of_visual, "seen": seen}
