"""vggish: what VGGish hears in every second of a clip: the sound's side of the features that AVE was published with.

The first audio stream is decoded once, to mono at the network's rate. Second i is described by the 0.96 s that begin
with it; AVE's released features take one every 0.96 s instead, so that their tenth begins at 8.64 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from winnow.core.sample import Reason, SampleFailed
from winnow.models.by_second import BySecond
from winnow.models.weights import Weights

if TYPE_CHECKING:
    import torch

    from winnow.models.torch_batches import Decoded
    from winnow.models.vgg import VggishEncoder


class Vggish(BySecond):
    """One row per clip with sound: the columns of `BySecond`, 128 numbers a second, at one position: the raw embedding
    after the last ReLU."""

    name = "vggish"
    encoder: VggishEncoder

    class Params(BySecond.Params):
        """every_s: from one patch to the next; 0.96 for AVE's released features. The spectrum is computed in double
        precision at any `precision`."""

        model: str = "audioset"
        every_s: float = Field(1.0, ge=0.1, le=1.0)

    def load(self, weights: Weights, state: Mapping[str, torch.Tensor], device: torch.device) -> VggishEncoder:
        """VGGish with a checkpoint."""
        from winnow.models.vgg import VggishEncoder

        return VggishEncoder(weights, state, device, self.params.precision)

    def rows(self, data: bytes) -> Decoded:
        """A clip's patches, one a second: float32, (n, frames, mel_bins). SampleFailed with no_audio_stream or
        undecodable where it has none."""
        import numpy as np

        from winnow.media import decode
        from winnow.models.torch_batches import Decoded

        options = self.encoder.preprocessing
        with decode.opened(data) as clip:
            frames = list(clip.frames(clip.require_audio()))
            start_s = clip.time_s(frames[0]) if frames else 0.0
        wave = decode.waveform(frames, rate_hz=options.rate_hz, mono=True)[0]
        late = round(start_s * options.rate_hz)
        wave = np.concatenate([np.zeros(max(late, 0), wave.dtype), wave[max(-late, 0) :]])
        patches = options(wave, self.params.every_s)[: self.params.seconds]
        if not len(patches):
            short, wanted = len(wave) / options.rate_hz, options.patch / options.rate_hz
            raise SampleFailed(Reason.undecodable, f"{short:.3f} s of sound, and a patch is {wanted:.3f} s")
        return Decoded(patches, np.arange(len(patches)))
