"""What brings sound and picture into one space: projection heads, their baselines, and the closed answer of a ridge.

All answer `audio` (B, d) and `visual` (B, d) for vectors of any shape whose last axis is the vector (what is before is
averaged). Vectors are made as long as 1 first, whatever the table holds. Source of the head: AVSET-10M (FreeBind)."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from winnow.train.sizes import Sizes

HIDDEN, OUT, DIRECTIONS, RANDOM = 2048, 1024, 128, 64


class Norm(nn.BatchNorm1d):
    """Batch normalisation; a batch of one clip, which has no spread, goes by the running figures."""

    def forward(self, rows: Tensor) -> Tensor:
        """(B, d) → (B, d)."""
        if self.training and len(rows) == 1:
            return F.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(rows)


def whole(vectors: Tensor) -> Tensor:
    """(B, …, d) → (B, d), the mean over what is between."""
    return vectors.flatten(1, -2).mean(1) if vectors.ndim > 2 else vectors


def head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Linear, BatchNorm, ReLU, linear, BatchNorm."""
    layers = nn.Sequential(
        nn.Linear(inputs, hidden), Norm(hidden), nn.ReLU(), nn.Linear(hidden, outputs), Norm(outputs)
    )
    for layer in (layers[0], layers[3]):
        nn.init.xavier_uniform_(layer.weight)
    return layers


class Heads(nn.Module):
    """A head on the sound, whose answer is a picture's vector; with `both` one on the picture too."""

    def __init__(self, sizes: Sizes, both: bool, raw: bool = False) -> None:
        super().__init__()
        hidden, out, self.raw = sizes.wide(HIDDEN), sizes.wide(OUT) if both else sizes.visual, raw
        self.audio = head(sizes.audio, hidden, out)
        self.visual = head(sizes.visual, hidden, out) if both else nn.Identity()

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        heard, seen = F.normalize(whole(audio), dim=-1), whole(visual)
        seen = seen if self.raw else F.normalize(seen, dim=-1)
        return {"audio": F.normalize(self.audio(heard), dim=-1), "visual": self._seen(self.visual(seen))}

    def _seen(self, seen: Tensor) -> Tensor:
        return seen if self.raw else F.normalize(seen, dim=-1)


class Plain(nn.Module):
    """Vectors as they are: two encoders of one space, or nothing to be found."""

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        return {"audio": whole(audio), "visual": whole(visual)}


class Random(nn.Module):
    """Vectors that depend on nothing but the clip's bytes: an answer by lot, the same whenever it is asked."""

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        found = {}
        for side, values in (("audio", whole(audio)), ("visual", whole(visual))):
            marks = values.detach().cpu().float().numpy()
            seeds = [int.from_bytes(blake2b(row.tobytes(), digest_size=8).digest(), "little") for row in marks]
            drawn = [np.random.default_rng(seed).normal(size=RANDOM) for seed in seeds]
            found[side] = torch.from_numpy(np.stack(drawn).astype(np.float32)).to(values.device)
        return found


class Ridge(nn.Module):
    """The map of `winnow.models.ridge_fit`: which sound a picture lets expect. Its numbers are buffers, fitted at once;
    directions that a small set does not have are 0."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.width = min(DIRECTIONS, sizes.audio)
        shapes = {
            "picture_mean": (sizes.visual,),
            "picture_scale": (sizes.visual,),
            "sound_mean": (sizes.audio,),
            "sound_scale": (sizes.audio,),
            "directions": (sizes.audio, self.width),
            "weights": (sizes.visual, self.width),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))

    def fit(self, audio: np.ndarray, visual: np.ndarray, ridge: float) -> None:
        """From (n, …) of both sides, row by row pairs."""
        from winnow.models.ridge_fit import FitParams, fit_map

        heard, seen = (whole(torch.from_numpy(side)).numpy() for side in (audio, visual))
        found = fit_map(seen, heard, FitParams(ridge=ridge, width=min(self.width, len(heard))))
        for name, values in vars(found).items():
            part = torch.from_numpy(np.ascontiguousarray(values))
            self.get_buffer(name)[..., : part.shape[-1]].copy_(part)

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        from winnow.models.correspondence import FEATURE_LIMIT

        def standard(values: Tensor, side: str) -> Tensor:
            mean, scale = self.get_buffer(f"{side}_mean"), self.get_buffer(f"{side}_scale")
            return ((values - mean) * scale).clamp(-FEATURE_LIMIT, FEATURE_LIMIT)

        return {
            "audio": standard(whole(audio), "sound") @ self.directions,
            "visual": standard(whole(visual), "picture") @ self.weights,
        }
