"""A network of sounds and their classes: YAMNet as `winnow weights install yamnet` brings it, in 8-bit integers.

What it gives of 0.96 s of sound, every 0.48 s: 1,024 numbers, the mean over time and frequency before its classifier,
and a score, 0 … 1, of each of 521 classes of AudioSet. Those are AudioSet's 527 in their order without the six of
NOT_KNOWN. Sound is fed as YAMNet's authors feed it (models/research/audioset/yamnet: features.py, params.py):
magnitudes of a short-time Fourier transform under a periodic Hann window, triangles of equal width on the mel scale,
natural logarithm of that plus 0.001, silence at the end up to a whole patch; then as integers of the graph's input.

Its scores come in steps: a logit is a whole number times 0.757.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import Field, PositiveFloat

from winnow.core.errors import ContractError
from winnow.models import graphs
from winnow.models.audioset import AudioClass, classes
from winnow.models.mel import Spectra
from winnow.models.weights import Weights

#: Classes of AudioSet that YAMNet was not trained on: male and female speech, battle cry, male and female singing,
#: funny music.
NOT_KNOWN = frozenset({"/m/05zppz", "/m/02zsn", "/m/04gy_2", "/t/dd00003", "/t/dd00004", "/t/dd00032"})
#: A class is heard where this many patches score it, a second and a half; in one where there is no second one.
PATCHES_HEARD = 2


class Preprocessing(Spectra):
    """What a sound becomes: patches of `frames` log-mel spectra, one every `step`, as whole numbers: log-mel / scale +
    zero, 0 … 255; and what the graph's whole numbers mean: logit_scale · (q − logit_zero)."""

    step: int = Field(gt=0, le=10_000)
    scale: PositiveFloat
    zero: int = Field(ge=0, le=255)
    logit_scale: PositiveFloat
    logit_zero: int = Field(ge=0, le=255)

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        """The same sound → uint8, (patches, 1, frames, mel_bins), one patch at least."""
        first, later = self.patch, self.step * self.hop
        count = 1 + max(0, -(-(len(wave) - first) // later))
        filled = np.zeros(first + (count - 1) * later, np.float32)
        filled[: len(wave)] = wave
        spectrum = self.log_mel(filled)
        whole = np.clip(np.round(spectrum / self.scale + self.zero), 0, 255).astype(np.uint8)
        return np.stack([whole[k * self.step :][: self.frames] for k in range(count)])[:, None]


class SoundClasses:
    """The network, on one thread of the CPU. `width`: length of its vectors."""

    def __init__(self, folder: Path, weights: Weights) -> None:
        self.preprocessing = weights.options(Preprocessing)
        self.session = graphs.session(folder, weights, "cpu")
        taken, given = self.session.get_inputs(), self.session.get_outputs()
        shape = [1, 1, self.preprocessing.frames, self.preprocessing.mel_bins]
        fits = [(one.type, list(one.shape)) for one in taken] == [("tensor(uint8)", shape)]
        if not fits or [one.type for one in given] != ["tensor(uint8)", "tensor(float)"]:
            raise ContractError(
                f"{graphs.place(folder, weights)} must take uint8 {shape} and give scores, uint8 (1, {len(known())}), "
                f"and vectors, float32 (1, d): {graphs.told(self.session)}"
            )
        if list(given[0].shape) != [1, len(known())]:
            raise ContractError(f"{graphs.place(folder, weights)} scores {given[0].shape}: {len(known())} are known")
        self.name, self.width = taken[0].name, int(given[1].shape[1])

    def __call__(self, wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (n, width) and scores (n, classes), 0 … 1, float32, of a sound's patches; wave: mono, (samples,),
        full scale 1, at the rate that it is fed at."""
        options, vectors, scores = self.preprocessing, [], []
        for patch in options(wave):
            whole, vector = self.session.run(None, {self.name: patch[None]})
            logits = options.logit_scale * (whole[0].astype(np.float64) - options.logit_zero)
            vectors.append(vector[0])
            scores.append(1 / (1 + np.exp(-logits)))
        return np.stack(vectors), np.stack(scores).astype(np.float32)


@lru_cache(maxsize=1)
def known() -> tuple[AudioClass, ...]:
    """The classes, in the order of the network's outputs."""
    return tuple(one for one in classes() if one.mid not in NOT_KNOWN)


def heard(scores: np.ndarray) -> np.ndarray:
    """A clip's score of each class, (classes,), of those of its patches, (n, classes): what PATCHES_HEARD of them
    reach."""
    return np.sort(scores, axis=0)[-min(PATCHES_HEARD, len(scores))]
