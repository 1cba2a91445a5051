"""The ridge scorer: which sound a picture lets expect, by a linear map between two pretrained networks' vectors.

EfficientNet knows what is seen and YAMNet what is heard, each from millions of examples that people labelled; nobody
told either of the other. The map from one space to the other is fitted on the corpus (`models.ridge_fit`), on what is
seen and heard together. A score is the cosine of the sound that the picture lets expect with the sound that is there.

**Folds** are those of the built-in scorer (`models.copies`): a clip is always scored by the map of its group's fold,
which was fitted without that fold. **Time**: vectors describe a whole clip, so it has one picture vector, at its
middle.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from winnow.core.errors import ContractError
from winnow.models import scorers
from winnow.models.copies import Known
from winnow.models.correspondence import cut_features


@dataclass(frozen=True)
class RidgeMap:
    """One fold's map. picture_mean, picture_scale: (d,), sound_mean, sound_scale: (e,), of standardising;
    directions: (e, q), into which sounds are turned; weights: (d, q), from pictures to those. All float32."""

    picture_mean: np.ndarray
    picture_scale: np.ndarray
    sound_mean: np.ndarray
    sound_scale: np.ndarray
    directions: np.ndarray
    weights: np.ndarray

    def picture(self, vectors: np.ndarray) -> np.ndarray:
        """The sounds that pictures let expect: (…, d) → float64 (…, q)."""
        return _standard(vectors, self.picture_mean, self.picture_scale) @ self.weights.astype(np.float64)

    def sound(self, vectors: np.ndarray) -> np.ndarray:
        """Sounds as they are: (…, e) → float64 (…, q)."""
        return _standard(vectors, self.sound_mean, self.sound_scale) @ self.directions.astype(np.float64)


def _standard(vectors: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return cut_features(np.asarray(vectors, np.float64), mean.astype(np.float64), scale.astype(np.float64))


@dataclass(frozen=True)
class RidgeModel:
    """Every fold's map, the clips that they were fitted on, and the labels of the two networks whose vectors they
    take: those of any other mean something else."""

    maps: Sequence[RidgeMap]
    known: Known
    networks: tuple[str, str]

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
        """One clip's columns (`scorers.COLUMNS`). picture: (d,), sound, residual: (e,), as the tables hold them.
        ValueError for a sound or a picture that is the corpus' mean to the last bit."""
        _, fold = self.known.find(video_id, picture, sound)
        of = self.maps[fold]
        left = None if residual is None else of.sound(residual)
        return scorers.columns(
            of.sound(sound),
            of.picture(picture[None]),
            np.array([middle_s]),
            video_id=video_id,
            model=model,
            fold=fold,
            residual=left,
        )

    def dumps(self) -> bytes:
        """The model as an uncompressed .npz without pickles: equal models give equal bytes."""
        arrays: dict[str, np.ndarray] = {"folds": np.array(len(self.maps)), "networks": np.array(self.networks)}
        arrays |= self.known.arrays()
        for k, one in enumerate(self.maps):
            arrays |= {
                f"{k}_{f.name}": np.ascontiguousarray(getattr(one, f.name), np.float32) for f in fields(RidgeMap)
            }
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        return file.getvalue()

    @classmethod
    def loads(cls, data: bytes) -> RidgeModel:
        """Read what `dumps` wrote; ContractError for anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                folds = int(arrays["folds"])
                maps = [RidgeMap(*(arrays[f"{k}_{f.name}"] for f in fields(RidgeMap))) for k in range(folds)]
                seen, heard = arrays["networks"].tolist()
                return cls(maps, Known.read(arrays, folds), (seen, heard))
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise ContractError(f"no ridge model: {type(error).__name__}: {error}") from error
