"""A joint audio-visual model (ImageBind, or one like it) as two exported graphs: pictures, sound, to vectors.

**Why ONNX.** A checkpoint alone is numbers; to run it one needs its code, and the code of such models is a repository
of its own with licences and pins of its own. An ONNX graph is data (`models.graphs`); TorchScript and torch.export
archives hold pickles and serialised Python objects beside the graph. So nothing foreign is executed here. (A protocol
buffer ends at 2 GB: a larger network is exported with its numbers in half precision.)

All preprocessing stands in weights.toml, is part of the model's digest, and is done here: sizes, rates and statistics
of ImageBind's are in AVSET-10M's specification, §4 (ImageBind's released code, `data`). Its sound vector is 20 long
where its picture vector is 1, so both are made unit vectors, always (`models.scorers`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from winnow.core.errors import ContractError
from winnow.models import graphs
from winnow.models.mel import log_mel
from winnow.models.scorers import unit
from winnow.models.weights import Weights

#: Rows that a graph takes at a time: a constant, so that a clip's bytes depend on no setting.
ROWS = 16


class PicturePreprocessing(BaseModel):
    """What a picture becomes: `size` pixels wide and high (its short side scaled to that and the centre cut out, or
    stretched), then (x / 255 − mean) / std by channel, RGB."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(gt=0, le=2048)
    resize: Literal["shortest", "squash"] = "shortest"
    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """uint8, (n, size, size, 3) → float32, (n, 3, size, size)."""
        scaled = (pictures.astype(np.float32) / 255 - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


class SoundPreprocessing(BaseModel):
    """What a sound becomes: `clips` pieces of `clip_s`, evenly placed from its beginning to its end; of each its
    log-mel spectrum (`models.mel`), cut or filled up with zeros to `frames`, then (x − mean) / std."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate_hz: int = Field(gt=0, le=192_000)
    mel_bins: int = Field(gt=0, le=1024)
    frames: int = Field(gt=0, le=100_000)
    mean: float
    std: PositiveFloat
    clips: int = Field(3, gt=0, le=64)
    clip_s: PositiveFloat = 2.0
    window_s: PositiveFloat = 0.025
    hop_s: PositiveFloat = 0.01
    fmin_hz: float = Field(20.0, ge=0)
    fmax_hz: float = Field(0.0, ge=0, description="0 is half the rate")

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        """float32, (samples,), full scale 1, at rate_hz → float32, (clips, 1, mel_bins, frames). ValueError for a sound
        that is shorter than one window."""
        length = min(round(self.clip_s * self.rate_hz), len(wave))
        last = max(len(wave) - length, 0)
        starts = [round(last * k / max(self.clips - 1, 1)) for k in range(self.clips)]
        out = np.zeros((self.clips, 1, self.mel_bins, self.frames), np.float32)
        for row, start in zip(out, starts, strict=True):
            spectrum = log_mel(
                wave[start : start + length],
                rate_hz=self.rate_hz,
                bins=self.mel_bins,
                window_s=self.window_s,
                hop_s=self.hop_s,
                fmin_hz=self.fmin_hz,
                fmax_hz=self.fmax_hz,
            )[: self.frames]
            if not len(spectrum):
                raise ValueError(f"{len(wave) / self.rate_hz:.3f} s of sound, shorter than a window")
            row[0, :, : len(spectrum)] = spectrum.T
        return (out - np.float32(self.mean)) / np.float32(self.std)


class Graph:
    """One side: rows of a shape to vectors, on one thread (a CPU's bytes depend on nothing else) or a GPU."""

    def __init__(self, folder: Path, weights: Weights, rows: tuple[int, ...], device: str) -> None:
        """`rows`: shape of one row; `device`: the setting WINNOW_DEVICE. ConfigError for a file of another kind or a
        device that is not there, ContractError for one that is damaged, keeps its numbers elsewhere, or is of another
        shape."""
        where = graphs.place(folder, weights)
        self.session = graphs.session(folder, weights, device)
        taken, given = self.session.get_inputs(), self.session.get_outputs()
        wanted = len(taken) == len(given) == 1 and taken[0].type == given[0].type == "tensor(float)"
        sizes = taken[0].shape[1:] if wanted else []
        if not wanted or len(sizes) != len(rows) or any(s != r for s, r in zip(sizes, rows, strict=True) if _fixed(s)):
            shape = ", ".join(map(str, rows))
            raise ContractError(f"{where} must take float32 (n, {shape}) and give (n, d): {graphs.told(self.session)}")
        self.where, self.rows, self.name, self.count = where, rows, taken[0].name, taken[0].shape[0]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Vectors, float32 (n, d), of rows, float32 (n, *rows)."""
        at_once = self.count if _fixed(self.count) else ROWS
        found = [self._run(rows[k : k + at_once], at_once) for k in range(0, len(rows), at_once)]
        vectors = np.concatenate(found)
        if vectors.ndim != 2:
            raise ContractError(f"{self.where} gives {vectors.shape} for {len(rows)} rows: (n, d) is wanted")
        return vectors

    def _run(self, rows: np.ndarray, at_once: int) -> np.ndarray:
        """One call; a graph that was exported for so many rows and no other number gets the rest as zeros."""
        full = rows
        if _fixed(self.count) and len(rows) < at_once:
            full = np.concatenate([rows, np.zeros((at_once - len(rows), *self.rows), np.float32)])
        return np.asarray(self.session.run(None, {self.name: full})[0])[: len(rows)]


def _fixed(size: object) -> bool:
    """Whether a graph's size is a number; a name or None may vary."""
    return isinstance(size, int)


def sound_vector(vectors: np.ndarray) -> np.ndarray:
    """The vector of a sound from those of its pieces, (clips, d): the mean of unit vectors."""
    return unit(vectors).mean(axis=0)
