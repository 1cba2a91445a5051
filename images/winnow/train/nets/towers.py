"""Towers that learn from decoded clips: tiny ones for a CPU, a residual network over space and time, and ACAV100M's.

Pictures come as (B, n, side, side, 3) uint8, sound as (B, samples) of full scale 1; both are prepared here, so that
what a checkpoint was trained on is in one place. Source: ACAV100M's evaluation (its networks, by their numbers)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winnow.train.nets.spectra import LogMel

MEAN, DEVIATION = 0.45, 0.225


@dataclass(frozen=True)
class Geometry:
    """Of a window: seconds, pictures a second, side of a decoded picture and of what is cut out of it, rate of the
    sound, mel bins and frames."""

    seconds: float
    per_s: float
    side: int
    crop: int
    rate_hz: int
    bins: int
    frames: int

    @property
    def samples(self) -> int:
        """Samples of a window."""
        return round(self.seconds * self.rate_hz)


GEOMETRIES = {
    "tiny": Geometry(2.0, 4.0, 72, 64, 16_000, 64, 96),
    "r3d18": Geometry(32 / 15, 7.5, 128, 112, 44_100, 80, 128),
    "paper": Geometry(32 / 15, 15.0, 256, 224, 44_100, 80, 128),
}


class Pictures(nn.Module):
    """(B, n, side, side, 3) uint8 → (B, 3, n, crop, crop), about 0: cut at random and mirrored while training, else cut
    in the middle; `place` moves the cut along a row, −1 … 1."""

    def __init__(self, crop: int) -> None:
        super().__init__()
        self.crop = crop

    def forward(self, pictures: Tensor, place: Tensor | float = 0.0) -> Tensor:
        """One cut for all pictures of a clip, and for all clips of a batch."""
        room = pictures.shape[2] - self.crop
        if self.training:
            top, left = (int(k) for k in torch.randint(0, room + 1, (2,)))
            mirrored = bool(torch.rand(()) < 0.5)
        else:
            top, left, mirrored = room // 2, round(room * (1 + float(place)) / 2), False
        cut = pictures[:, :, top : top + self.crop, left : left + self.crop].permute(0, 4, 1, 2, 3)
        cut = ((cut if cut.is_floating_point() else cut.float()) / 255 - MEAN) / DEVIATION
        return cut.flip(-1) if mirrored else cut


def _norm(kind: type, planes: int, last: bool = False) -> nn.Module:
    """Batch normalisation; the last one of a block begins at 0."""
    layer = kind(planes)
    if last:
        nn.init.zeros_(layer.weight)
    return layer


# -- tiny --------------------------------------------------------------------------------------------------------------
class Tiny(nn.Module):
    """Four convolutions, each halving the side: (B, inputs, h, w) → (B, 128)."""

    WIDE = (32, 64, 128, 128)

    def __init__(self, inputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for wide in self.WIDE:
            layers += [nn.Conv2d(inputs, wide, 3, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
            inputs = wide
        self.layers, self.width = nn.Sequential(*layers), inputs

    def forward(self, x: Tensor) -> Tensor:
        """The mean over what is left of the picture."""
        return self.layers(x).mean((-1, -2))


class TinyPictures(nn.Module):
    """A Tiny over every picture, and the mean over them: (B, 3, n, h, w) → (B, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.each = Tiny(3)
        self.width = self.each.width

    def forward(self, x: Tensor) -> Tensor:
        """Pictures have no order here."""
        count, planes, pictures, high, wide = x.shape
        flat = x.transpose(1, 2).reshape(count * pictures, planes, high, wide)
        return self.each(flat).reshape(count, pictures, -1).mean(1)


# -- over space and time -----------------------------------------------------------------------------------------------
class Basic3d(nn.Module):
    """Two 3×3×3 convolutions around a residual."""

    def __init__(self, inputs: int, wide: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv3d(inputs, wide, 3, stride, 1, bias=False),
            nn.BatchNorm3d(wide),
            nn.ReLU(),
            nn.Conv3d(wide, wide, 3, 1, 1, bias=False),
            nn.BatchNorm3d(wide),
        )
        self.short = _short3d(inputs, wide, (stride,) * 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, t, h, w) → (B, wide, …)."""
        return torch.relu(self.main(x) + self.short(x))


def _short3d(inputs: int, outputs: int, stride: tuple[int, int, int]) -> nn.Module:
    if inputs == outputs and stride == (1, 1, 1):
        return nn.Identity()
    return nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))


class Residual18(nn.Module):
    """R3D-18: 512 numbers a clip."""

    width = 512

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False),
            nn.BatchNorm3d(64),
            nn.ReLU(),
        ]
        inputs = 64
        for k, wide in enumerate((64, 128, 256, 512)):
            layers += [Basic3d(inputs, wide, 2 if k else 1), Basic3d(wide, wide, 1)]
            inputs = wide
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, n, h, w) → (B, 512)."""
        return self.layers(x).mean((-1, -2, -3))


class Bottleneck3d(nn.Module):
    """1×1×1 (or 3×1×1 over time), 1×3×3, 1×1×1 around a residual."""

    def __init__(self, inputs: int, inner: int, time: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * inner
        self.main = nn.Sequential(
            nn.Conv3d(inputs, inner, (time, 1, 1), padding=(time // 2, 0, 0), bias=False),
            nn.BatchNorm3d(inner),
            nn.ReLU(),
            nn.Conv3d(inner, inner, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
            nn.BatchNorm3d(inner),
            nn.ReLU(),
            nn.Conv3d(inner, outputs, 1, bias=False),
            _norm(nn.BatchNorm3d, outputs, last=True),
        )
        self.short = _short3d(inputs, outputs, (1, stride, stride))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, t, h, w) → (B, 4·inner, …)."""
        return torch.relu(self.main(x) + self.short(x))


class Residual50(nn.Module):
    """ACAV100M's visual tower: 2,048 numbers a clip."""

    width = 2048

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv3d(3, 64, (5, 7, 7), 2, (2, 3, 3), bias=False),
            nn.BatchNorm3d(64),
            nn.ReLU(),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        ]
        inputs = 64
        for k, (blocks, time) in enumerate(zip((3, 4, 6, 3), (1, 1, 3, 3), strict=True)):
            for number in range(blocks):
                layers.append(Bottleneck3d(inputs, 64 << k, time, 2 if k and not number else 1))
                inputs = 256 << k
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, n, h, w) → (B, 2048)."""
        return self.layers(x).mean((-1, -2, -3))


# -- sound -------------------------------------------------------------------------------------------------------------
def _apart(inner: int, stride: int) -> list[nn.Module]:
    """3×1 then 1×3, each normalised."""
    return [
        nn.Conv2d(inner, inner, (3, 1), (stride, 1), (1, 0), bias=False),
        nn.BatchNorm2d(inner),
        nn.ReLU(),
        nn.Conv2d(inner, inner, (1, 3), (1, stride), (0, 1), bias=False),
        nn.BatchNorm2d(inner),
        nn.ReLU(),
    ]


class Bottleneck2d(nn.Module):
    """1×1, 3×3 (or 3×1 and 1×3), 1×1 around a residual."""

    def __init__(self, inputs: int, inner: int, stride: int, apart: bool) -> None:
        super().__init__()
        outputs = 4 * inner
        middle = (
            _apart(inner, stride)
            if apart
            else [
                nn.Conv2d(inner, inner, 3, stride, 1, bias=False),
                nn.BatchNorm2d(inner),
                nn.ReLU(),
            ]
        )
        self.main = nn.Sequential(
            nn.Conv2d(inputs, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            *middle,
            nn.Conv2d(inner, outputs, 1, bias=False),
            _norm(nn.BatchNorm2d, outputs, last=True),
        )
        self.short: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.short = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) → (B, 4·inner, …)."""
        return torch.relu(self.main(x) + self.short(x))


class Sound50(nn.Module):
    """ACAV100M's audio tower, of width 32: 1,024 numbers a clip, 80×128 down to 5×8."""

    width = 1024

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(1, 32, (9, 1), padding=(4, 0), bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 32, (1, 9), padding=(0, 4), bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        ]
        inputs = 32
        for k, blocks in enumerate((3, 4, 6, 3)):
            for number in range(blocks):
                layers.append(Bottleneck2d(inputs, 32 << k, 1 if number else 2, apart=k < 2))
                inputs = 128 << k
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, bins, frames) → (B, 1024)."""
        return self.layers(x).mean((-1, -2))


# -- both --------------------------------------------------------------------------------------------------------------
class Towers(nn.Module):
    """Both towers of a model with what prepares their inputs: `heard` (B, a), `seen` (B, v)."""

    widths: tuple[int, int]

    def __init__(self, model: str, loud_masks: bool = False) -> None:
        super().__init__()
        of = GEOMETRIES[model]
        self.pictures = Pictures(of.crop)
        self.spectrum = LogMel(of.samples, of.rate_hz, of.bins, of.frames, loud_masks)
        self.visual, self.audio = {
            "tiny": lambda: (TinyPictures(), Tiny(1)),
            "r3d18": lambda: (Residual18(), Sound50()),
            "paper": lambda: (Residual50(), Sound50()),
        }[model]()
        self.widths = (self.audio.width, self.visual.width)

    def forward(self, pictures: Tensor, sound: Tensor, place: Tensor | float = 0.0) -> dict[str, Tensor]:
        """Numbers of both sides."""
        seen = self.visual(self.pictures(pictures, place))
        return {"heard": self.audio(self.spectrum(sound)), "seen": seen}
