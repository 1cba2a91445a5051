"""open_clip: five layers of a clip's picture from inside a pretrained image network, and its embedding.

Pictures are taken evenly over the clip; each is scaled to the network's size by swscale, so that Python never sees a
full frame. A layer is the mean over positions and pictures (ACAV100M, feature extraction); the embedding is the mean
of the pictures' embeddings at length 1, so its own length says how alike they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from winnow.models.pretrained import Pretrained, PretrainedParams
from winnow.models.weights import Weights
from winnow.sample import Reason, SampleFailed

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

    class Params(PretrainedParams):
        """Pictures: `frames` of them evenly over the clip, or `frames_hz` a second when it is None, `max_frames` at
        most; each is what is shown in the middle of its part of the clip. decode: `nonref` leaves pictures undecoded
        that no other refers to, and deblocking, and takes two thirds of the time. blocks: whose outputs are the
        layers, from 1; evenly spread when empty."""

        model: str = "vit-b-32"
        frames: int | None = Field(None, ge=1, le=256)
        frames_hz: float = Field(1.0, gt=0)
        max_frames: int = Field(32, ge=1, le=256)
        decode: Literal["all", "nonref"] = "nonref"
        blocks: tuple[int, ...] = ()

    encoder: OpenClipEncoder | None = None

    def load(self, weights: Weights, state: Mapping[str, torch.Tensor], device: torch.device) -> OpenClipEncoder:
        """The image tower of a checkpoint."""
        from winnow.models.open_clip_encoder import OpenClipEncoder

        return OpenClipEncoder(weights, state, device, self.params.precision, self.params.blocks)

    def rows(self, data: bytes) -> np.ndarray:
        """A clip's pictures at the network's size: uint8, (n, height, width, 3); SampleFailed with no_video_stream or
        undecodable where it has none."""
        return pictures(data, self.params, self.encoder.height, self.encoder.width, self.encoder.preprocessing.resize)


def pictures(data: bytes, params: OpenClip.Params, height: int, width: int, resize: str = "shortest") -> np.ndarray:
    """Pictures of a clip's file, scaled (bicubic) and cut to size: uint8, (n, height, width, 3), RGB."""
    import numpy as np

    from winnow import media

    out: list[np.ndarray] = []
    with media.opened(data, skip="NONREF" if params.decode == "nonref" else None) as clip:
        duration_s = clip.duration_s
        count = params.frames or min(max(round(duration_s * params.frames_hz), 1), params.max_frames)
        times_s = [(k + 0.5) * duration_s / count for k in range(count)]
        scale, shown = Scaler(height, width, resize), None
        for frame in clip.frames(clip.require_video()):
            at_s = clip.time_s(frame)
            while shown is not None and len(out) < count and at_s > times_s[len(out)] + 1e-3:
                out.append(scale(shown))
            if len(out) == count:
                break
            shown = frame
        if shown is None:
            raise SampleFailed(Reason.undecodable, "no picture could be decoded")
        out += [scale(shown)] * (count - len(out))
    return np.stack(out)


class Scaler:
    """Scales frames to a size: so that the short side fits and the centre is cut out, or stretched (`squash`). A side
    above `LONGEST` times the other is stretched down to that."""

    LONGEST = 8

    def __init__(self, height: int, width: int, resize: str) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self.height, self.width, self.resize = height, width, resize
        self._scale = VideoReformatter()
        # Without these flags swscale's shortcuts darken colours by up to two levels, at some widths and not others.
        exact = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT
        self._how = Interpolation.BICUBIC | exact

    def __call__(self, frame) -> np.ndarray:
        """One picture: uint8, (height, width, 3)."""
        height, width = self.height, self.width
        if self.resize == "shortest":
            by = max(height / frame.height, width / frame.width)
            high, wide = int(frame.height * by + 1e-6), int(frame.width * by + 1e-6)
            height = min(max(height, high), self.LONGEST * height)
            width = min(max(width, wide), self.LONGEST * width)
        small = self._scale.reformat(frame, width, height, "rgb24", interpolation=self._how, threads=1)
        top, left = round((height - self.height) / 2), round((width - self.width) / 2)
        return small.to_ndarray()[top : top + self.height, left : left + self.width]
