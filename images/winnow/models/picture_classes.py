"""A network of pictures and their classes: EfficientNet-Lite0 as `winnow weights install efficientnet-lite0` brings it.

What it gives of a picture: 1,280 numbers, the mean over the picture before its classifier, and the probability of each
of ImageNet's 1,000 classes (`models.imagenet`). Pictures are fed as Google's training of the Lite family had them:
(x − 127) / 128, RGB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from winnow.core.errors import ContractError
from winnow.models import graphs
from winnow.models.weights import Weights


class Preprocessing(BaseModel):
    """What a picture becomes: `size` pixels wide and high (its short side scaled to that and the centre cut out, or
    stretched), then (x − mean) / scale, RGB."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(gt=0, le=2048)
    resize: Literal["shortest", "squash"] = "shortest"
    mean: float
    scale: PositiveFloat


class PictureClasses:
    """The network, on one thread of the CPU. `width`: length of its vectors."""

    def __init__(self, folder: Path, weights: Weights) -> None:
        self.preprocessing = weights.options(Preprocessing)
        self.session = graphs.session(folder, weights, "cpu")
        size = self.preprocessing.size
        taken, given = self.session.get_inputs(), self.session.get_outputs()
        fits = len(taken) == 1 and taken[0].type == "tensor(float)" and list(taken[0].shape[1:]) == [3, size, size]
        if (
            not fits
            or [one.type for one in given] != ["tensor(float)"] * 2
            or any(len(one.shape) != 2 for one in given)
        ):
            raise ContractError(
                f"{graphs.place(folder, weights)} must take float32 (n, 3, {size}, {size}) and give vectors (n, d) and "
                f"logits (n, classes): {graphs.told(self.session)}"
            )
        self.name, self.width, self.classes = taken[0].name, int(given[0].shape[1]), int(given[1].shape[1])

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (n, width) and probabilities (n, classes), float32, of pictures: uint8, (n, size, size, 3), RGB. One
        picture at a time: what a picture gives depends on no other."""
        options, vectors, chances = self.preprocessing, [], []
        for picture in pictures:
            scaled = (picture.astype(np.float32) - np.float32(options.mean)) / np.float32(options.scale)
            vector, logits = self.session.run(None, {self.name: np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])})
            raised = np.exp(logits[0].astype(np.float64) - logits[0].max())
            vectors.append(vector[0])
            chances.append(raised / raised.sum())
        return np.stack(vectors), np.stack(chances).astype(np.float32)
