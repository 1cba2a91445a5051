"""What several networks share: attention of sound over pictures, recurrent layers, the residual block, heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Sound says where to look (AVGA): (B, T, audio), (B, T, P, D) → the weighted sum of the raw map, (B, T, D).

    As published, the sound's numbers are added by position and the pictures' hidden units are as many as positions, so
    both layers are as wide as the map is large.
    """

    def __init__(self, audio: int, visual: int, positions: int, hidden: int) -> None:
        super().__init__()
        self.visual, self.audio = nn.Linear(visual, hidden), nn.Linear(audio, hidden)
        self.of_visual = nn.Linear(hidden, positions, bias=False)
        self.of_audio = nn.Linear(hidden, positions, bias=False)
        self.score = nn.Linear(positions, 1, bias=False)
        for layer in (self.visual, self.audio, self.of_visual, self.of_audio, self.score):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, audio: Tensor, visual: Tensor) -> Tensor:
        seen = self.of_visual(torch.relu(self.visual(visual)))
        heard = self.of_audio(torch.relu(self.audio(audio)))
        weights = self.score(torch.tanh(seen + heard[..., None])).squeeze(-1).softmax(-1)
        return torch.einsum("btp,btpd->btd", weights, visual)


def recurrent(inputs: int, hidden: int) -> nn.LSTM:
    """One layer in both directions: (B, T, inputs) → (B, T, 2·hidden)."""
    return nn.LSTM(inputs, hidden, batch_first=True, bidirectional=True)


def squashed(width: int) -> nn.Sequential:
    """Linear, tanh, linear."""
    return nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))


class Residual(nn.Module):
    """The dual residual block (DMRN): the mean of both sides goes to each, both are averaged; widths stay."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_visual, self.of_audio = squashed(width), squashed(width)

    def forward(self, audio: Tensor, visual: Tensor) -> Tensor:
        shared = (self.of_visual(visual) + self.of_audio(audio)) / 2
        return (torch.tanh(audio + shared) + torch.tanh(visual + shared)) / 2


class Heads(nn.Module):
    """An event logit a second and category logits a clip, from the mean over time (or the maximum): `event` (B, T),
    `category` (B, C). Pool `event`: from the mean weighted by how much of an event each second is; beside it `rest`
    (B, C), from the mean weighted by how little, which is to be of nothing: so labels of clips teach events."""

    def __init__(self, width: int, classes: int, pool: str = "mean") -> None:
        super().__init__()
        self.event, self.category, self.pool = nn.Linear(width, 1), nn.Linear(width, classes), pool

    def forward(self, fused: Tensor) -> dict[str, Tensor]:
        event = self.event(fused).squeeze(-1)
        if self.pool == "event":
            there, rest = (self.category(weighted(fused, torch.sigmoid(logits))) for logits in (event, -event))
            return {"event": event, "category": there, "rest": rest}
        whole = fused.mean(1) if self.pool == "mean" else fused.amax(1)
        return {"event": event, "category": self.category(whole)}


def weighted(seconds: Tensor, weights: Tensor) -> Tensor:
    """The mean over time of seconds (B, T, n) by weights (B, T) of 0 or more: (B, n)."""
    shares = weights / weights.sum(1, keepdim=True).clamp_min(1e-6)
    return torch.einsum("bt,btn->bn", shares, seconds)
