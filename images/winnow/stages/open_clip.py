"""open_clip: five layers of a clip's picture from inside a pretrained image network, and its embedding.

Pictures are taken evenly over the clip; each is scaled to the network's size by swscale, so that Python never sees a
full frame. A layer is the mean over positions and pictures (ACAV100M, feature extraction); the embedding is the mean
of the pictures' embeddings at length 1, so its own length says how alike they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from winnow.models.pictures import PictureParams, pictures
from winnow.models.pretrained import Pretrained, PretrainedParams
from winnow.models.weights import Weights

if TYPE_CHECKING:
    import numpy as np
    import torch

    from winnow.models.open_clip_encoder import OpenClipEncoder


class OpenClip(Pretrained):
    """One row per clip: layer_0 … layer_4 (shallow to deep) and embedding, half precision, as long as the network is
    wide there; n_frames, how many pictures they come from; model, which checkpoint."""

    name = "open_clip"
    schema = {
        **{f"layer_{i}": "float16[]" for i in range(5)},
        "embedding": "float16[]",
        "n_frames": "int64",
        "model": "string",
    }
    counted = "n_frames"

    class Params(PretrainedParams, PictureParams):
        """Pictures (`PictureParams`); blocks: whose outputs are the layers, from 1; evenly spread when empty."""

        model: str = "vit-b-32"
        blocks: tuple[int, ...] = ()

    encoder: OpenClipEncoder

    def load(self, weights: Weights, state: Mapping[str, torch.Tensor], device: torch.device) -> OpenClipEncoder:
        """The image tower of a checkpoint."""
        from winnow.models.open_clip_encoder import OpenClipEncoder

        return OpenClipEncoder(weights, state, device, self.params.precision, self.params.blocks)

    def rows(self, data: bytes) -> np.ndarray:
        """A clip's pictures at the network's size: uint8, (n, height, width, 3); SampleFailed with no_video_stream or
        undecodable where it has none."""
        encoder = self.encoder
        return pictures(data, self.params, encoder.height, encoder.width, encoder.preprocessing.resize)[0]
