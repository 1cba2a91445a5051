"""CLIPSep and CLIPSep-NIT: a query says which part of a mixture's spectrogram to let through (sony/CLIPSep; AVSET-10M).

The mixture's magnitudes, 513 rows, are warped to 256 rows of a logarithmic scale; a U-Net of seven levels makes a map
of 32 channels, and a mask's logit is the inner product of the map with the query's 32 numbers. Noise heads (NIT) see
the mean of all queries of a mixture, and take up in training what none of them names.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from winnow.train.sizes import Sizes

N_FFT, HOP, ROWS, CHANNELS = 1024, 256, 256, 32
#: Channels of the downs; of the ups, what goes in is twice what the level below gave, but for the innermost.
DOWNS = (64, 128, 256, 512, 512, 512, 512)
UPS = (512, 512, 512, 256, 128, 64)
BASE, TINY = 21.0, 1e-10
LEAST, MOST = 1e-3, 10.0


def to_log(y: np.ndarray) -> np.ndarray:
    """Where on the linear axis, −1 to 1, row y of the logarithmic one lies, −1 to 1."""
    return (BASE ** ((y + 1) / 2) - 11) / 10


def to_linear(y: np.ndarray) -> np.ndarray:
    """The other way round."""
    return 2 * np.log(10 * y + 11) / math.log(BASE) - 1


@lru_cache
def warping(rows: int, others: int, back: bool = False) -> Tensor:
    """The matrix (rows, others) that samples `others` rows at `rows` places, linearly between them."""
    y = np.linspace(-1, 1, rows)
    at = ((to_linear if back else to_log)(y) + 1) / 2 * (others - 1)
    low = np.clip(np.floor(at), 0, others - 2).astype(int)
    matrix = np.zeros((rows, others), np.float32)
    share = np.clip(at - low, 0, 1)
    matrix[np.arange(rows), low] = 1 - share
    matrix[np.arange(rows), low + 1] += share
    return torch.from_numpy(matrix)


def spectrum(sound: Tensor) -> Tensor:
    """(…, samples) → complex (…, 513, frames)."""
    window = torch.hann_window(N_FFT, device=sound.device, dtype=sound.dtype)
    flat = torch.stft(sound.flatten(0, -2), N_FFT, HOP, window=window, center=True, return_complex=True)
    return flat.unflatten(0, sound.shape[:-1])


class UNet(nn.Module):
    """(B, 1, 256, frames) → (B, 32, 256, frames); frames a multiple of two to the number of levels, 128."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        downs = [sizes.wide(width) for width in DOWNS]
        ups = [sizes.wide(width) for width in UPS]
        self.norm = nn.BatchNorm2d(1)
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for k, width in enumerate(downs):
            layers: list[nn.Module] = [] if k == 0 else [nn.LeakyReLU(0.2)]
            layers.append(nn.Conv2d(downs[k - 1] if k else 1, width, 4, 2, 1, bias=False))
            if 0 < k < len(downs) - 1:
                layers.append(nn.BatchNorm2d(width))
            self.downs.append(nn.Sequential(*layers))
        for k, width in enumerate([*ups, CHANNELS]):
            last = k == len(ups)
            inputs = downs[-1] if k == 0 else ups[k - 1] + downs[-1 - k]
            layers = [
                nn.ReLU(),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
                nn.Conv2d(inputs, width, 3, 1, 1, bias=last),
            ]
            self.ups.append(nn.Sequential(*layers, *([] if last else [nn.BatchNorm2d(width)])))

    def forward(self, x: Tensor) -> Tensor:
        x, seen = self.norm(x), []
        for down in self.downs:
            x = down(x)
            seen.append(x)
        for k, up in enumerate(self.ups):
            x = up(x if k == 0 else torch.cat([seen[-1 - k], x], 1))
        return x


class ClipSep(nn.Module):
    """sound: two sources (B, 2, samples), already scaled so that their sum is the mixture; query: (B, 2, E). In
    training mask logits of both queries (and of noise heads), both target masks and the bins' weights; else what the
    first query lets through of the mixture, without noise heads."""

    def __init__(self, sizes: Sizes, noise: bool) -> None:
        super().__init__()
        self.query, self.unet = nn.Linear(sizes.visual, CHANNELS), UNet(sizes)
        self.scale, self.bias = nn.Parameter(torch.ones(CHANNELS)), nn.Parameter(torch.zeros(1))
        self.noise = nn.ModuleList([nn.Linear(CHANNELS, CHANNELS) for _ in range(2 if noise else 0)])
        self.apply(_initial)

    def forward(self, sound: Tensor, query: Tensor) -> dict[str, Tensor]:
        mixed, warp = spectrum(sound.sum(1)), warping(ROWS, N_FFT // 2 + 1).to(sound.device, sound.dtype)
        magnitude = warp @ (mixed.abs() + TINY)
        frames = magnitude.shape[-1]
        padded = nn.functional.pad(magnitude.log(), (0, -frames % 2 ** len(self.unet.downs)), value=math.log(TINY))
        features = self.unet(padded[:, None])[..., :frames]
        pooled = self.query(query)
        asked = self._logits(features, torch.sigmoid(pooled if self.training else pooled[:, :1]))
        if not self.training:
            return {"estimate": self._heard(mixed, asked[:, 0], sound.shape[-1]), "sources": sound}
        parts = warp @ spectrum(sound).abs()
        found = {
            "asked": asked,
            "targets": (parts > 0.5 * magnitude[:, None]).to(sound.dtype),
            "weight": torch.log1p(magnitude).clamp(LEAST, MOST),
        }
        if self.noise:
            mean = pooled.mean(1)
            heads = torch.stack([torch.sigmoid(head(mean)) for head in self.noise], 1)
            found["noise"] = self._logits(features, heads)
        return found

    def _logits(self, features: Tensor, numbers: Tensor) -> Tensor:
        """(B, 32, rows, frames), (B, n, 32) → (B, n, rows, frames)."""
        return torch.einsum("bnc,bcft->bnft", numbers * self.scale, features) + self.bias

    def _heard(self, mixed: Tensor, logits: Tensor, samples: int) -> Tensor:
        """A binary mask on the mixture, with the mixture's phase: (B, samples)."""
        back = warping(N_FFT // 2 + 1, ROWS, back=True).to(logits.device)
        mask = (back @ torch.sigmoid(logits.float()) > 0.5).to(mixed.real.dtype)
        window = torch.hann_window(N_FFT, device=mixed.device, dtype=mixed.real.dtype)
        return torch.istft(mixed * mask, N_FFT, HOP, window=window, center=True, length=samples).clamp(-1, 1)


def _initial(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.normal_(layer.weight, 0, 1e-3)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
    elif isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, 0, 1e-4)
