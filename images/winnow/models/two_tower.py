"""The two-tower scorer: two small networks that put what is seen and what is heard into one space, as plain numbers.

Fitted by `models.two_tower_fit`, which needs torch. Scoring does not: a tower is two matrix products, and torch would
add half a gigabyte to the image and seconds to every start, so the stage runs where the built-in scorer runs.

**Folds** are those of the built-in scorer (`models.copies`): a clip is always scored by the model of its group's fold,
which was fitted without that fold; a clip of a later batch was not seen by its fold's model either.

**Time.** The layers that it reads describe a whole clip, so a clip has one picture vector, at its middle: this scorer
says nothing about which second agrees. `bridge` and `joint` look at pictures one by one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from winnow.core.errors import ContractError
from winnow.models import scorers
from winnow.models.copies import Known
from winnow.models.correspondence import cut_features


@dataclass(frozen=True)
class Tower:
    """One side's network: standardise and cut, a hidden layer of rectifiers, a linear layer.

    mean, scale: (d,); hidden: (d, h); hidden_offset: (h,); out: (h, q); out_offset: (q,). All float32.
    """

    mean: np.ndarray
    scale: np.ndarray
    hidden: np.ndarray
    hidden_offset: np.ndarray
    out: np.ndarray
    out_offset: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Vectors (…, q), not of unit length, of features (…, d); float64."""
        wide = {f.name: getattr(self, f.name).astype(np.float64) for f in fields(self)}
        seen = cut_features(np.asarray(features, np.float64), wide["mean"], wide["scale"])
        return np.maximum(seen @ wide["hidden"] + wide["hidden_offset"], 0) @ wide["out"] + wide["out_offset"]


@dataclass(frozen=True)
class TwoTowerModel:
    """Every fold's towers: pictures and sounds; and the clips that they were fitted on."""

    picture: Sequence[Tower]
    sound: Sequence[Tower]
    known: Known

    def score(
        self,
        video_id: str,
        picture: np.ndarray,
        sound: np.ndarray,
        *,
        middle_s: float,
        model: str,
        residual: np.ndarray | None = None,
    ) -> dict[str, object]:
        """One clip's columns (`scorers.COLUMNS`). picture, sound, residual: all layers joined, (d,), (e,), (e,)."""
        _, fold = self.known.find(video_id, picture, sound)
        seen, heard = self.picture[fold](picture[None]), self.sound[fold](sound[None])[0]
        left = None if residual is None else self.sound[fold](residual[None])[0]
        return scorers.columns(
            heard, seen, np.array([middle_s]), video_id=video_id, model=model, fold=fold, residual=left
        )

    def dumps(self) -> bytes:
        """The model as safetensors: equal models give equal bytes."""
        from safetensors.numpy import save

        tensors = {
            f"{k}.{side}.{f.name}": np.ascontiguousarray(getattr(tower, f.name), np.float32)
            for side, towers in (("picture", self.picture), ("sound", self.sound))
            for k, tower in enumerate(towers)
            for f in fields(Tower)
        }
        tensors |= self.known.arrays()
        return save(tensors, {"two_tower": json.dumps({"folds": len(self.picture)})})

    @classmethod
    def loads(cls, data: bytes) -> TwoTowerModel:
        """Read what `dumps` wrote; ContractError for anything else."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(data)
            folds = 1 + max(int(name.partition(".")[0]) for name in tensors if "." in name)
            picture, sound = (
                [Tower(*(tensors[f"{k}.{side}.{f.name}"] for f in fields(Tower))) for k in range(folds)]
                for side in ("picture", "sound")
            )
            known = Known.read(tensors, folds)
        except (SafetensorError, KeyError, ValueError) as error:
            raise ContractError(f"no two-tower model: {type(error).__name__}: {error}") from error
        return cls(picture, sound, known)
