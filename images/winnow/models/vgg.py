"""The two networks whose features AVE's authors published, with checkpoints in torch: VGGish of sound, VGG-19 of
pictures.

Both are stacks of 3 × 3 convolutions; what is stored is what event localisation was published on (VGGSound-AVEL100k's
specification, §3): of sound the raw embedding after its last ReLU, without the whitening and the 8 bits of AudioSet's
own features; of a picture the map after the fifth pooling, 7 × 7 × 512. Tensors are named as the publishers of the
checkpoints name them (torchvggish; torchvision, whose classifier is not built).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat
from torch import nn

from winnow.core.errors import ConfigError
from winnow.models.mel import Spectra
from winnow.models.torch_batches import DTYPES, Precision
from winnow.models.weights import Weights, fill

#: Channels of the convolutions, 0 for a pooling.
VGGISH = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0)
VGG19 = (64, 64, 0, 128, 128, 0, *(256,) * 4, 0, *(512,) * 4, 0, *(512,) * 4, 0)
#: A pooling halves a picture, five times.
SMALLEST = 32


def convolutions(plan: Sequence[int], channels: int) -> nn.Sequential:
    """3 × 3 convolutions with ReLU and poolings in a row, untrained, on so many channels."""
    layers: list[nn.Module] = []
    for wide in plan:
        if not wide:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, wide, 3, padding=1), nn.ReLU()]
        channels = wide
    return nn.Sequential(*layers)


class VggishNet(nn.Module):
    """VGGish, untrained: (n, 1, frames, mel bins) → (n, 128)."""

    def __init__(self, frames: int, mel_bins: int) -> None:
        super().__init__()
        self.features = convolutions(VGGISH, 1)
        wide = 512 * (frames // 16) * (mel_bins // 16)
        self.embeddings = nn.Sequential(
            nn.Linear(wide, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 128), nn.ReLU()
        )

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Flattened by time, frequency, channel, as in TensorFlow, where it was trained."""
        return self.embeddings(self.features(patches).permute(0, 2, 3, 1).flatten(1))


class Patches(Spectra):
    """What a sound becomes before VGGish."""

    def __call__(self, wave: np.ndarray, every_s: float) -> np.ndarray:
        """float32, (samples,), full scale 1, at rate_hz → float32, (n, frames, mel_bins): patches that fit whole, one
        every `every_s`."""
        starts = range(0, len(wave) - self.patch + 1, round(every_s * self.rate_hz))
        found = [self.log_mel(wave[at : at + self.patch]) for at in starts]
        return np.array(found, np.float32).reshape(len(found), self.frames, self.mel_bins)


class _Stack:
    """What both have in common: a checkpoint in an untrained network, on a device."""

    def __init__(
        self,
        net: nn.Module,
        state: Mapping[str, torch.Tensor],
        weights: Weights,
        device: torch.device,
        precision: Precision,
    ) -> None:
        fill(net, state, weights)
        self.dtype = DTYPES[precision]
        self.net = net.eval().requires_grad_(False).to(device, self.dtype)


class VggishEncoder(_Stack):
    """VGGish with its checkpoint. `widths`: of one patch's vector."""

    widths: Mapping[str, int] = {"features": 128}
    positions = 1

    def __init__(
        self, weights: Weights, state: Mapping[str, torch.Tensor], device: torch.device, precision: Precision = "fp32"
    ) -> None:
        if weights.model != "VGGish":
            raise ConfigError(f"[vggish.{weights.name}] model = {weights.model!r}: only VGGish is known")
        self.preprocessing = weights.options(Patches)
        net = VggishNet(self.preprocessing.frames, self.preprocessing.mel_bins)
        super().__init__(net, state, weights, device, precision)

    def encode(self, patches: torch.Tensor) -> torch.Tensor:
        """float32, (n, frames, mel_bins), on the device → float32, (n, 128)."""
        return self.net(patches[:, None].to(self.dtype)).float()


class Pictures(BaseModel):
    """What a picture becomes before VGG-19: `size` pixels wide and high, stretched (as AVE's authors have it) or its
    short side scaled to that and the centre cut out; then (x / 255 − mean) / std by channel, in this order of
    channels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(224, ge=SMALLEST, le=2048, multiple_of=SMALLEST)
    resize: Literal["shortest", "squash"] = "squash"
    order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class Vgg19Encoder(_Stack):
    """VGG-19's convolutions with their checkpoint. `widths`: of one picture's map, which is 512 numbers at each of
    `positions`, row by row."""

    def __init__(
        self, weights: Weights, state: Mapping[str, torch.Tensor], device: torch.device, precision: Precision = "fp32"
    ) -> None:
        if weights.model != "VGG19":
            raise ConfigError(f"[vgg19.{weights.name}] model = {weights.model!r}: only VGG19 is known")
        options = self.preprocessing = weights.options(Pictures)
        self.positions = (options.size // SMALLEST) ** 2
        self.widths = {"features": self.positions * VGG19[-2]}
        self._features = convolutions(VGG19, 3)
        super().__init__(
            nn.ModuleDict({"features": self._features}),
            {k: v for k, v in state.items() if not k.startswith("classifier.")},
            weights,
            device,
            precision,
        )
        mean, std = (torch.tensor(values, device=device) for values in (options.mean, options.std))
        self._scale, self._shift = 1 / (255 * std), -mean / std

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """uint8, (n, size, size, 3), RGB, on the device → float32, (n, positions · 512), channels last."""
        x = pictures.flip(3) if self.preprocessing.order == "bgr" else pictures
        x = (x.float() * self._scale + self._shift).permute(0, 3, 1, 2).to(self.dtype)
        return self._features(x).permute(0, 2, 3, 1).flatten(1).float()
