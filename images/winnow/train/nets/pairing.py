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
    """A head on the sound, whose answer is a picture's vector; with `both` one on the picture too.

    `start`: beside them lies the map of a ridge regression (`begin`), of unit length, to which heads add from nothing:
    what they answer before their first step is what the ridge answers."""

    def __init__(self, sizes: Sizes, both: bool, raw: bool = False, start: bool = False) -> None:
        super().__init__()
        hidden, out, self.raw = sizes.wide(HIDDEN), sizes.wide(OUT) if both else sizes.visual, raw
        self.audio = head(sizes.audio, hidden, out)
        self.visual = head(sizes.visual, hidden, out) if both else nn.Identity()
        # One head answers pictures, so its map goes from sound to picture; two meet where the house's ridge does.
        self.ridge = None
        if start:
            self.ridge = Ridge(sizes.visual, sizes.audio, out) if both else Ridge(sizes.audio, sizes.visual)
            for one in (self.audio, self.visual) if both else (self.audio,):
                nn.init.zeros_(one[-1].weight)

    def begin(self, audio: np.ndarray, visual: np.ndarray, ridge: float) -> None:
        """Fit the map that lies beside the heads, from (n, …) of both sides, row by row pairs."""
        if self.ridge is not None:
            both = not isinstance(self.visual, nn.Identity)
            self.ridge.fit(*((audio, visual) if both else (visual, audio)), ridge)

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        heard, seen = F.normalize(whole(audio), dim=-1), whole(visual)
        seen = seen if self.raw else F.normalize(seen, dim=-1)
        answer = {"audio": self.audio(heard), "visual": self.visual(seen)}
        if self.ridge is not None and isinstance(self.visual, nn.Identity):
            answer["audio"] = answer["audio"] + F.normalize(self.ridge.expected(audio), dim=-1)
        elif self.ridge is not None:
            for side, plain in self.ridge(audio, visual).items():
                more = F.normalize(plain, dim=-1)
                answer[side] = answer[side] + F.pad(more, (0, answer[side].shape[-1] - more.shape[-1]))
        return {"audio": F.normalize(answer["audio"], dim=-1), "visual": self._seen(answer["visual"])}

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

    def __init__(self, visual: int, audio: int, most: int = DIRECTIONS) -> None:
        super().__init__()
        self.width = min(DIRECTIONS, audio, most)
        shapes = {
            "picture_mean": (visual,),
            "picture_scale": (visual,),
            "sound_mean": (audio,),
            "sound_scale": (audio,),
            "directions": (audio, self.width),
            "weights": (visual, self.width),
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

    def _standard(self, values: Tensor, side: str) -> Tensor:
        from winnow.models.correspondence import FEATURE_LIMIT

        mean, scale = self.get_buffer(f"{side}_mean"), self.get_buffer(f"{side}_scale")
        return ((whole(values) - mean) * scale).clamp(-FEATURE_LIMIT, FEATURE_LIMIT)

    def expected(self, visual: Tensor) -> Tensor:
        """The sound itself that a picture lets expect: (B, …, d) → (B, e)."""
        found = self._standard(visual, "picture") @ self.weights @ self.directions.T
        return found / self.sound_scale + self.sound_mean

    def forward(self, audio: Tensor, visual: Tensor) -> dict[str, Tensor]:
        return {
            "audio": self._standard(audio, "sound") @ self.directions,
            "visual": self._standard(visual, "picture") @ self.weights,
        }
