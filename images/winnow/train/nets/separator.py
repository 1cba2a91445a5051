"""A separator of mixtures into sources that nobody named: masks on a basis, by dilated convolutions (TDCN++), and
mixture consistency, so that the sources add up to what went in.

Source: google-research/sound-separation, models/neurips2020_mixit and models/train/consistency.py. The basis is learnt
(window 40, hop 20, 256 coefficients, as published) or, which a CPU can do, a short-time Fourier transform."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WINDOW, HOP, COEFFICIENTS = 40, 20, 256
N_FFT, STEP = 512, 256
BOTTLENECK, HIDDEN, KERNEL = 256, 512, 3


class Block(nn.Module):
    """1×1 up, a dilated convolution of each channel, 1×1 down, added to what went in: (B, C, T) → (B, C, T)."""

    def __init__(self, channels: int, hidden: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, hidden, 1),
            nn.PReLU(),
            nn.GroupNorm(1, hidden),
            nn.Conv1d(hidden, hidden, KERNEL, padding=dilation * (KERNEL // 2), dilation=dilation, groups=hidden),
            nn.PReLU(),
            nn.GroupNorm(1, hidden),
            nn.Conv1d(hidden, channels, 1),
        )
        self.scale = nn.Parameter(torch.ones(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.body(x)


def consistent(mixture: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    """Sources (B, M, samples) that add up to the mixture (B, samples): what they lack is shared out by weights (B, M)
    whose sum is 1."""
    return sources + weights[..., None] * (mixture - sources.sum(1))[:, None]


class Separator(nn.Module):
    """(B, samples) → (B, M, samples), whose sum is the mixture."""

    def __init__(self, sources: int, basis: str, blocks: int, repeats: int, narrow: int) -> None:
        super().__init__()
        channels, hidden = max(16, BOTTLENECK // narrow), max(16, HIDDEN // narrow)
        self.sources, self.basis = sources, basis
        wide = N_FFT // 2 + 1 if basis == "stft" else COEFFICIENTS
        if basis == "learnt":
            self.encoder = nn.Conv1d(1, COEFFICIENTS, WINDOW, HOP, bias=False)
            self.decoder = nn.ConvTranspose1d(COEFFICIENTS, 1, WINDOW, HOP, bias=False)
        self.enter = nn.Sequential(nn.GroupNorm(1, wide), nn.Conv1d(wide, channels, 1))
        self.core = nn.Sequential(*(Block(channels, hidden, 2**k) for _ in range(repeats) for k in range(blocks)))
        self.masks, self.weights = nn.Conv1d(channels, sources * wide, 1), nn.Linear(channels, sources)

    def forward(self, mixture: Tensor) -> Tensor:
        coefficients = self._taken(mixture)
        sized = torch.log1p(10 * coefficients.abs()) if self.basis == "stft" else coefficients
        core = self.core(self.enter(sized))
        masks = torch.sigmoid(self.masks(core)).unflatten(1, (self.sources, -1))
        made = self._given(coefficients[:, None] * masks, mixture.shape[-1])
        return consistent(mixture, made, self.weights(core.mean(-1)).softmax(-1))

    def _taken(self, mixture: Tensor) -> Tensor:
        if self.basis == "stft":
            window = torch.hann_window(N_FFT, device=mixture.device, dtype=mixture.dtype)
            return torch.stft(mixture, N_FFT, STEP, window=window, return_complex=True)
        short = -(mixture.shape[-1] - WINDOW) % HOP
        return torch.relu(self.encoder(F.pad(mixture[:, None], (0, short))))

    def _given(self, coefficients: Tensor, samples: int) -> Tensor:
        flat = coefficients.flatten(0, 1)
        if self.basis == "stft":
            window = torch.hann_window(N_FFT, device=flat.device, dtype=flat.real.dtype)
            made = torch.istft(flat, N_FFT, STEP, window=window, length=samples)
        else:
            made = self.decoder(flat)[:, 0, :samples]
        return made.unflatten(0, coefficients.shape[:2])
