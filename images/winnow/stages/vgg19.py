"""vgg19: what VGG-19 sees where in a picture, in every second of a clip: the other side of the features that AVE was
published with.

Pictures are taken by their time stamps, evenly over each second, and stretched to the network's size by swscale; a
second's map is the mean of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from winnow.models import pictures
from winnow.models.by_second import BySecond
from winnow.models.weights import Weights

if TYPE_CHECKING:
    import torch

    from winnow.models.torch_batches import Decoded
    from winnow.models.vgg import Vgg19Encoder


class Vgg19(BySecond):
    """One row per clip with pictures: the columns of `BySecond`, 512 numbers a second at each of 7 × 7 positions, row
    by row, channels last: the map after the fifth pooling."""

    name = "vgg19"
    encoder: Vgg19Encoder

    class Params(BySecond.Params):
        """per_s: pictures a second, 16 as AVE's authors have it; decode: as of `PictureParams`."""

        model: str = "imagenet"
        per_s: int = Field(16, ge=1, le=60)
        decode: Literal["all", "nonref"] = "nonref"

    def load(self, weights: Weights, state: Mapping[str, torch.Tensor], device: torch.device) -> Vgg19Encoder:
        """VGG-19 with a checkpoint."""
        from winnow.models.vgg import Vgg19Encoder

        return Vgg19Encoder(weights, state, device, self.params.precision)

    def rows(self, data: bytes) -> Decoded:
        """A clip's pictures at the network's size: uint8, (n, size, size, 3). SampleFailed with no_video_stream or
        undecodable where it has none."""
        from winnow.models.torch_batches import Decoded

        options = self.encoder.preprocessing
        found, times_s = pictures.at_times(
            data, self.times, self.params.decode, options.size, options.size, options.resize
        )
        return Decoded(found, times_s.astype(int))

    def times(self, duration_s: float) -> list[float]:
        """When pictures are taken of a clip, s: in the middle of equal parts of each second."""
        per_s, most = self.params.per_s, self.params.seconds
        found = [(k + 0.5) / per_s for k in range(most * per_s) if (k + 0.5) / per_s < duration_s]
        return found or [0.0]
