"""Networks of contrast: features of both sides, and what projects them to where they are compared; and a linear probe
on features that no longer change."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow.train.nets.pairing import Norm, whole
from winnow.train.nets.towers import Towers
from winnow.train.sizes import Sizes

OUT = 128


def projection(width: int) -> nn.Sequential:
    """Linear without shift, BatchNorm, ReLU, linear to 128."""
    return nn.Sequential(nn.Linear(width, width, bias=False), Norm(width), nn.ReLU(), nn.Linear(width, OUT))


class Frozen(nn.Module):
    """Projections of vectors that stay as they are. Features are what the hidden layers answer, for nothing before them
    learns."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.audio, self.visual = projection(sizes.audio), projection(sizes.visual)
        self.widths = (sizes.audio, sizes.visual)

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        heard, seen = (
            layers[:3](F.normalize(whole(side), dim=-1))
            for layers, side in ((self.audio, audio), (self.visual, visual))
        )
        return {"heard": heard, "seen": seen, "audio": self.audio[3](heard), "visual": self.visual[3](seen)}


class Projected(nn.Module):
    """Towers and their projections."""

    def __init__(self, towers: Towers) -> None:
        super().__init__()
        self.towers, self.widths = towers, towers.widths
        self.audio, self.visual = (projection(width) for width in towers.widths)

    def forward(self, pictures: Tensor, sound: Tensor, place: Tensor | float = 0.0) -> dict[str, Tensor]:
        found = self.towers(pictures, sound, place)
        return {**found, "audio": self.audio(found["heard"]), "visual": self.visual(found["seen"])}


class Vectors(nn.Module):
    """Stored vectors as features."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.widths = (sizes.audio, sizes.visual)

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        return {"heard": whole(audio), "seen": whole(visual)}


class Probe(nn.Module):
    """One linear layer on features of a network that stays what it was: no gradient, and its batch normalisations go by
    their running figures. `scores` (B, C)."""

    def __init__(self, under: nn.Module, widths: tuple[int, int], classes: int, sides: str, dropout: float) -> None:
        super().__init__()
        self.under, self.sides = under, sides
        for parameter in under.parameters():
            parameter.requires_grad_(False)
        width = {"audio": widths[0], "visual": widths[1], "both": sum(widths)}[sides]
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(width, classes)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def train(self, mode: bool = True) -> Probe:
        """What is under it never trains."""
        super().train(mode)
        self.under.eval()
        return self

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            found = self.under(inputs)
        parts = {"audio": ["heard"], "visual": ["seen"], "both": ["heard", "seen"]}[self.sides]
        features = torch.cat([found[name] for name in parts], -1)
        return {"scores": self.linear(self.dropout(features))}
