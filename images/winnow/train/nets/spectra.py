"""Log-mel spectrograms of windows, and what is masked of them while a network learns.

However long a window is, it gives as many frames: the transform is 2·(⌊samples / frames⌋ + 1) long and moves by half of
that (ACAV100M: 94,080 and 88,200 samples give 128). A clip shorter than its window is silent there, before the
logarithm; the released code puts zeros after it, which are loud."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from winnow.models.mel import triangles

FLOOR = 1e-6
ROWS, COLUMNS = 4, 6


def length_of(samples: int, frames: int) -> int:
    """Samples of a transform."""
    return 2 * (samples // frames + 1)


class LogMel(nn.Module):
    """(B, samples), full scale 1 → (B, 1, bins, frames): ln(1e-6 + power)."""

    weights: Tensor
    window: Tensor

    def __init__(self, samples: int, rate_hz: int, bins: int, frames: int, loud_masks: bool = False) -> None:
        super().__init__()
        self.size, self.frames = length_of(samples, frames), frames
        self.masked = 0.0 if loud_masks else float(torch.tensor(FLOOR).log())
        weights = torch.from_numpy(triangles(bins, self.size, rate_hz, 0.0, rate_hz / 2)).float()
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Masked at random while training."""
        wave = wave.to(self.window.dtype)
        with torch.autocast(wave.device.type, enabled=False):
            found = torch.stft(wave, self.size, self.size // 2, window=self.window, return_complex=True)
            power = found.abs().square()[:, : self.size // 2, : self.frames]
            levels = torch.log(FLOOR + self.weights @ power)[:, None]
        return self._mask(levels) if self.training else levels

    def _mask(self, levels: Tensor) -> Tensor:
        """One stretch of bins and one of frames, each clip its own: `masked`."""
        count, _, bins, frames = levels.shape
        for axis, size, most in ((2, bins, ROWS), (3, frames, COLUMNS)):
            width = torch.randint(0, most + 1, (count, 1))
            start = (torch.rand(count, 1) * (size - width + 1)).long()
            at = torch.arange(size)[None]
            inside = ((at >= start) & (at < start + width)).to(levels.device)
            where = inside[:, None, :, None] if axis == 2 else inside[:, None, None]
            levels = levels.masked_fill(where, self.masked)
        return levels
