"""panns: five layers of a clip's sound from inside PANNs' Cnn14.

The first audio stream is decoded once, to mono at the network's rate, and cut into windows of the length it was trained
on. A layer is the mean over time, frequency and windows (ACAV100M, feature extraction); the last one is the network's
2,048-dimensional embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from winnow.models.pretrained import Pretrained, PretrainedParams
from winnow.models.weights import Weights
from winnow.sample import Reason, SampleFailed

if TYPE_CHECKING:
    import numpy as np
    import torch

    from winnow.models.panns_encoder import PannsEncoder


class Panns(Pretrained):
    """One row per clip: layer_0 … layer_4 (shallow to deep, the last the embedding), half precision, as long as the
    network is wide there; n_windows, how many windows they come from; model, which checkpoint."""

    name = "panns"
    schema = {**{f"layer_{i}": "float16[]" for i in range(5)}, "n_windows": "int64", "model": "string"}
    counted = "n_windows"

    class Params(PretrainedParams):
        """window_s: length of a window; a clip has as many as fit best, evenly placed, `max_windows` at most. blocks:
        whose outputs are the first four layers, from 1 to 6. The spectrum is computed in fp32 at any precision."""

        model: str = "cnn14"
        window_s: float = Field(10.0, ge=1.0, le=60.0)
        max_windows: int = Field(8, ge=1, le=64)
        blocks: tuple[int, ...] = (1, 2, 4, 5)

    encoder: PannsEncoder | None = None

    def load(self, weights: Weights, state: Mapping[str, torch.Tensor], device: torch.device) -> PannsEncoder:
        """Cnn14 with a checkpoint."""
        from winnow.models.panns_encoder import PannsEncoder

        return PannsEncoder(weights, state, device, self.params.precision, self.params.blocks)

    def rows(self, data: bytes) -> np.ndarray:
        """A clip's sound in windows: float32, (n, samples); SampleFailed with no_audio_stream or undecodable where it
        has none."""
        from winnow import media

        with media.opened(data) as clip:
            frames = list(clip.frames(clip.require_audio()))
        wave = media.waveform(frames, rate_hz=self.encoder.rate_hz, mono=True)[0]
        if not len(wave):
            raise SampleFailed(Reason.undecodable, "no sound could be decoded")
        return windows(wave, round(self.params.window_s * self.encoder.rate_hz), self.params.max_windows)


def windows(wave: np.ndarray, length: int, limit: int) -> np.ndarray:
    """Windows of `length` samples, evenly placed: (n, length). As many as the sound's length comes closest to, so that
    10.02 s are one window of 10 s and not two; a shorter sound is repeated until it fills one."""
    import numpy as np

    if len(wave) < length:
        return np.resize(wave, (1, length))
    count = min(max(1, round(len(wave) / length)), limit)
    starts = [round((k + 0.5) * len(wave) / count - length / 2) for k in range(count)]
    return np.stack([wave[at : at + length] for at in (min(max(s, 0), len(wave) - length) for s in starts)])
