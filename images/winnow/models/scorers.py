"""Scorers of correspondence behind one interface: what the table of each of them gives.

A scorer answers one question about a clip: does its sound belong to its picture? It answers with two vectors, one of
the sound and one of every picture it looked at, so that whoever calibrates it can pair any sound with any picture: the
score is their mean cosine (released code of AVSET-10M: audio vector at length 1, picture vectors at length 1, averaged
and not made longer again). Every row names the model by its digest, and rows of two models are never compared.

A stage whose `schema` is COLUMNS is such a scorer (`two_tower`, `ridge`, `bridge`, `joint`), and
`winnow.fitting.calibration` knows it by its name. The built-in scorer (`stages.correspond`) compares envelopes too,
which no vector holds: its table has BUILTIN_COLUMNS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: The columns of a vector scorer's table.
#:
#: score: mean over the pictures of the cosine with the sound, −1 … 1: the dot product of sound and picture. sound: unit
#: vector. picture: mean of the pictures' unit vectors, not made longer again: its own length says how alike they are.
#: frame_times, frame_scores: when on the clip's clock each picture is shown, s, and its own cosine, so that a short
#: event shows. n_frames: how many pictures. fold: of a cross-fitted scorer, which of its models; else null. model:
#: which one; ends in 12 hex of its digest. residual_score, residual_frame_scores: the same pictures against what is
#: left of the sound where `separate` took the dialogue out of it; else null.
COLUMNS: Mapping[str, str] = {
    "video_id": "string",
    "score": "double",
    "sound": "float32[]",
    "picture": "float32[]",
    "frame_times": "float32[]",
    "frame_scores": "float32[]",
    "n_frames": "int64",
    "fold": "int64",
    "model": "string",
    "residual_score": "double",
    "residual_frame_scores": "float32[]",
}

#: The columns of the built-in scorer's table.
#:
#: score: log-odds that the sound is the picture's own; z: the same in deviations from the clip's null distribution of
#: mismatched pairs (null_mean, null_std); z_error: z's standard error; semantic: mutual information of what is seen
#: and heard, nats; sync: highest correlation of motion and onsets within a quarter of a second, −1 … 1; fold, model:
#: which model of which scorer.
BUILTIN_COLUMNS: Mapping[str, str] = {
    "video_id": "string",
    "score": "double",
    "z": "double",
    "z_error": "double",
    "semantic": "double",
    "sync": "double",
    "null_mean": "double",
    "null_std": "double",
    "fold": "int64",
    "model": "string",
}


def columns(
    sound: np.ndarray,
    pictures: np.ndarray,
    times_s: np.ndarray,
    *,
    video_id: str,
    model: str,
    fold: int | None = None,
    residual: np.ndarray | None = None,
) -> dict[str, object]:
    """A row's COLUMNS from the vector of the sound, (d,), those of its pictures, (n, d), and when each is shown, (n,);
    residual: the vector of what separation left of the sound, (d,), or None.
    Vectors of any length: they are made unit vectors here, always, because some models scale one side (ImageBind's
    sound by 20). ValueError for a vector of length 0 or one that is not finite."""
    import numpy as np

    heard, seen = unit(sound).astype(np.float32), unit(pictures)
    picture = seen.mean(axis=0).astype(np.float32)
    left = None if residual is None else unit(residual).astype(np.float32)
    return {
        "video_id": video_id,
        "score": _score(heard, picture),
        "sound": heard,
        "picture": picture,
        "frame_times": np.asarray(times_s, np.float32),
        "frame_scores": _frame_scores(heard, seen),
        "n_frames": len(seen),
        "fold": fold,
        "model": model,
        "residual_score": None if left is None else _score(left, picture),
        "residual_frame_scores": None if left is None else _frame_scores(left, seen),
    }


def _score(sound: np.ndarray, picture: np.ndarray) -> float:
    import numpy as np

    return round(float(sound.astype(np.float64) @ picture.astype(np.float64)), 6)


def _frame_scores(sound: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.round(pictures @ sound.astype(np.float64), 6).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors along the last axis at length 1: float64. ValueError where one has no direction."""
    import numpy as np

    vectors = np.asarray(vectors, np.float64)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not np.isfinite(length).all() or not (length > 0).all():
        raise ValueError("a vector without direction: zero, or not finite")
    return vectors / length
