"""CMRAN: channel and spatial attention of sound over pictures, then relations within and across both sides.

Released classes carry 6.4 million parameters that nothing reads; they are not built. Source: FloretCat/CMRAN.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from winnow.train.nets.common import Heads
from winnow.train.sizes import Sizes

HEADS, DROPOUT, MAP_DROPOUT = 4, 0.1, 0.2


class Focus(nn.Module):
    """Channels, then positions: (B, T, audio), (B, T, P, D) → (B, T, wide)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        wide, less = sizes.wide(512), sizes.wide(256)
        self.map, self.dropout = nn.Linear(sizes.visual, wide), nn.Dropout(MAP_DROPOUT)
        self.channel_audio, self.channel_visual = nn.Linear(sizes.audio, wide), nn.Linear(wide, wide)
        self.narrow, self.widen = nn.Linear(wide, less), nn.Linear(less, wide)
        self.place_audio, self.place_visual = nn.Linear(sizes.audio, less), nn.Linear(wide, less)
        self.place = nn.Linear(less, 1)

    def forward(self, audio: Tensor, visual: Tensor) -> Tensor:
        seen = self.dropout(torch.relu(self.map(visual)))
        both = torch.relu(self.channel_audio(audio))[:, :, None] * torch.relu(self.channel_visual(seen))
        gate = torch.sigmoid(self.widen(torch.relu(self.narrow(both.mean(2)))))
        seen = seen * (gate[:, :, None] + 1)
        hidden = torch.relu(self.place_visual(seen)) * torch.relu(self.place_audio(audio))[:, :, None]
        weights = torch.tanh(self.place(hidden)).squeeze(-1).softmax(-1)
        return torch.einsum("btp,btpd->btd", weights, seen)


class Across(nn.Module):
    """One layer whose queries look at the other side's encoding and at themselves; normalised after each sum."""

    def __init__(self, inputs: int, width: int, wide: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.attention = nn.MultiheadAttention(width, HEADS, DROPOUT, batch_first=True)
        self.out = nn.Sequential(nn.Linear(width, wide), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(wide, width))
        self.first, self.second, self.dropout = nn.LayerNorm(width), nn.LayerNorm(width), nn.Dropout(DROPOUT)

    def forward(self, query: Tensor, other: Tensor) -> Tensor:
        query = self.enter(query)
        memory = torch.cat([other, query], 1)
        query = self.first(query + self.dropout(self.attention(query, memory, memory, need_weights=False)[0]))
        return self.second(query + self.dropout(self.out(query)))


class CMRAN(nn.Module):
    """`event` (B, T) and `category` (B, C), the latter from the maximum over time, or as `pool` says."""

    def __init__(self, sizes: Sizes, weak: bool = False, pool: str = "max") -> None:
        super().__init__()
        width, wide, seen = sizes.wide(256), sizes.wide(2048), sizes.wide(512)
        self.focus = Focus(sizes)
        self.encode_audio, self.encode_visual = _encoder(sizes.audio, width, wide), _encoder(seen, width, wide)
        self.ask_audio, self.ask_visual = Across(sizes.audio, width, wide), Across(seen, width, wide)
        self.meet = nn.MultiheadAttention(width, 2 if weak else HEADS, DROPOUT, batch_first=True)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(DROPOUT)
        self.heads = Heads(width, sizes.classes, pool)

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        seen = self.focus(audio, visual)
        of_audio = self.ask_audio(audio, self.encode_visual(seen))
        of_visual = self.ask_visual(seen, self.encode_audio(audio))
        both, memory = of_visual * of_audio, torch.cat([of_audio, of_visual], 1)
        fused = self.norm(both + self.dropout(self.meet(both, memory, memory, need_weights=False)[0]))
        return self.heads(fused)


def _encoder(inputs: int, width: int, wide: int) -> nn.Sequential:
    layer = nn.TransformerEncoderLayer(width, HEADS, wide, DROPOUT, batch_first=True)
    return nn.Sequential(nn.Linear(inputs, width), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
