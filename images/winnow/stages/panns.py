"""panns: what PANNs' Cnn14 hears in a clip: five layers from inside it, and its scores of AudioSet's 527 classes.

The first audio stream is decoded once, to mono at the network's rate, and cut into windows of the length it was trained
on. A layer is the mean over time, frequency and windows (ACAV100M, feature extraction); the last one is the network's
2,048-dimensional embedding. A class's score is its highest of any window: the network was trained to say whether
a class is heard anywhere in ten seconds (weak labels), and a clip of several windows holds what any of them holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from winnow.core.errors import ContractError
from winnow.core.sample import Reason, SampleFailed
from winnow.models.pretrained import Pretrained, PretrainedParams
from winnow.models.weights import Weights
from winnow.models.windows import WindowParams, windows

if TYPE_CHECKING:
    import numpy as np
    import torch

    from winnow.models.panns_encoder import PannsEncoder
    from winnow.models.torch_batches import Answered


class Panns(Pretrained):
    """One row per clip: layer_0 … layer_4 (shallow to deep, the last the embedding), half precision, as long as the
    network is wide there; scores: of all classes, in the order of `models.audioset`; speech, music: of those two;
    other: the highest outside both of their subtrees; tag_mids, tag_scores: the highest ones, best first (0 … 1,
    AudioSet's ids); n_windows, how many windows they come from; model and tagger, which checkpoint."""

    name = "panns"
    schema = {
        **{f"layer_{i}": "float16[]" for i in range(5)},
        "scores": "float16[]",
        "speech": "double",
        "music": "double",
        "other": "double",
        "tag_mids": "string[]",
        "tag_scores": "double[]",
        "tagger": "string",
        "n_windows": "int64",
        "model": "string",
    }
    counted = "n_windows"

    class Params(PretrainedParams, WindowParams):
        """Windows (`WindowParams`): of 10 s by default. blocks: whose outputs are the first four layers, from 1 to 6.
        top: how many tags are kept beside the scores. The spectrum is computed in fp32 at any precision."""

        model: str = "cnn14"
        blocks: tuple[int, ...] = (1, 2, 4, 5)
        top: int = Field(10, ge=1, le=527)

    encoder: PannsEncoder

    def load(self, weights: Weights, state: Mapping[str, torch.Tensor], device: torch.device) -> PannsEncoder:
        """Cnn14 with a checkpoint; ContractError for one of other classes than AudioSet's."""
        from winnow.models.audioset import classes
        from winnow.models.panns_encoder import PannsEncoder

        last = state.get("fc_audioset.weight")
        if last is not None and len(last) != len(classes()):
            raise ContractError(f"{weights.file} scores {len(last)} classes, and AudioSet has {len(classes())}")
        return PannsEncoder(weights, state, device, self.params.precision, self.params.blocks)

    def rows(self, data: bytes) -> np.ndarray:
        """A clip's sound in windows: float32, (n, samples); SampleFailed with no_audio_stream or undecodable where it
        has none."""
        from winnow.media import decode

        with decode.opened(data) as clip:
            frames = list(clip.frames(clip.require_audio()))
        wave = decode.waveform(frames, rate_hz=self.encoder.rate_hz, mono=True)[0]
        if not len(wave):
            raise SampleFailed(Reason.undecodable, "no sound could be decoded")
        return windows(wave, round(self.params.window_s * self.encoder.rate_hz), self.params.max_windows)

    def finish(self, clip: Answered) -> dict[str, object]:
        """The columns of one clip from its windows' values."""
        from winnow.models.audioset import classes, tags

        scores = clip.values[:, -self.encoder.widths["scores"] :].max(axis=0)
        return {**super().finish(clip), **tags(scores, self.params.top, classes()), "tagger": self.label}
