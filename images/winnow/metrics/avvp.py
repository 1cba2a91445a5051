"""Audio-visual video parsing (AVVP, data set LLP): which events are heard, seen, or both, second by second.

Predictions and truth are masks (videos, segments, classes) for sound and for pictures. Per video, F1 is taken of each
class that either side has and averaged over those classes (1.0 for a video without any); videos are averaged and given
×100. Types: A and V; AV, the product of both masks; Type@AV, the mean of the three; Event@AV, F1 with the counts of A
and V added up. At segment level one segment counts one; at event level a run of segments counts one, and is right when
its intersection over union with *any* run of the other side is 0.5 or more: the released evaluation
(YapengTian/AVVP-ECCV20, utils/eval_metrics.py) does not match runs one to one.
"""

from __future__ import annotations

import numpy as np

from winnow.core.errors import ContractError

THRESHOLD = 0.5
IOU = 0.5
LEVELS = ("segment", "event")
#: Rows of (video, class) whose runs are compared at a time: bounds memory, changes nothing.
_CHUNK = 20_000

Counts = tuple[np.ndarray, np.ndarray, np.ndarray]


def masks(segment_probability: np.ndarray, video_probability: np.ndarray, threshold: float = THRESHOLD) -> np.ndarray:
    """What a model says is there: (videos, segments, classes) bool, true where the segment's probability *and* the
    video's pooled one, (videos, classes), are at least `threshold`. The released code filters both modalities by one
    pooled probability; give each its own to filter apart."""
    segment, video = np.asarray(segment_probability, np.float64), np.asarray(video_probability, np.float64)
    if segment.ndim != 3 or video.shape != (segment.shape[0], segment.shape[2]):
        raise ContractError(
            f"segment probabilities are (videos, segments, classes) and pooled ones (videos, classes), not "
            f"{segment.shape} and {video.shape}"
        )
    for name, values in (("segment", segment), ("pooled", video)):
        if not ((values >= 0) & (values <= 1)).all():
            raise ContractError(f"{name} probabilities must lie in [0, 1]: were logits given?")
    return (segment >= threshold) & (video >= threshold)[:, None, :]


def score(
    predicted_audio: np.ndarray, predicted_visual: np.ndarray, true_audio: np.ndarray, true_visual: np.ndarray
) -> dict[str, dict[str, float]]:
    """F-scores ×100 by level and type: {"segment": {"a", "v", "av", "type_av", "event_av"}, "event": {…}}.

    All four are (videos, segments, classes), bool or 0/1; ContractError for other shapes, values, or no video.
    """
    given = {
        "predicted audio": predicted_audio,
        "predicted visual": predicted_visual,
        "true audio": true_audio,
        "true visual": true_visual,
    }
    audio, visual, heard, seen = (_mask(name, values) for name, values in given.items())
    if len({values.shape for values in (audio, visual, heard, seen)}) != 1:
        raise ContractError(f"shapes differ: {', '.join(f'{n} {np.shape(v)}' for n, v in given.items())}")
    found = {}
    for level, count in zip(LEVELS, (segment_counts, event_counts), strict=True):
        of_a, of_v = count(audio, heard), count(visual, seen)
        both = tuple(a + v for a, v in zip(of_a, of_v, strict=True))
        a, v, av = (mean_f1(c) for c in (of_a, of_v, count(audio & visual, heard & seen)))
        found[level] = {"a": a, "v": v, "av": av, "type_av": (a + v + av) / 3, "event_av": mean_f1(both)}
    return found


def segment_counts(predicted: np.ndarray, truth: np.ndarray) -> Counts:
    """True positives, false positives and false negatives in segments: three of (videos, classes)."""
    return (
        (predicted & truth).sum(axis=1),
        (predicted & ~truth).sum(axis=1),
        (~predicted & truth).sum(axis=1),
    )


def event_counts(predicted: np.ndarray, truth: np.ndarray) -> Counts:
    """The same in runs: predicted runs that meet a true one, predicted runs that meet none, and true runs that no
    predicted one meets; three of (videos, classes)."""
    videos, segments, classes = predicted.shape
    ours = predicted.transpose(0, 2, 1).reshape(-1, segments)
    theirs = truth.transpose(0, 2, 1).reshape(-1, segments)
    counts = np.zeros((3, len(ours)), np.int64)
    busy = np.flatnonzero(ours.any(axis=1) | theirs.any(axis=1))
    for at in range(0, len(busy), _CHUNK):
        rows = busy[at : at + _CHUNK]
        counts[:, rows] = _compare(_runs(ours[rows]), _runs(theirs[rows]))
    hits, extra, missed = counts.reshape(3, videos, classes)
    return hits, extra, missed


def _runs(rows: np.ndarray) -> np.ndarray:
    """Maximal runs of each row as masks: (rows, segments) → (rows, runs, segments) float32; unused places are empty."""
    starts = rows & ~np.pad(rows, ((0, 0), (1, 0)))[:, :-1]
    number = np.cumsum(starts, axis=1)
    most = (rows.shape[1] + 1) // 2
    return ((number[:, None, :] == np.arange(1, most + 1)[None, :, None]) & rows[:, None, :]).astype(np.float32)


def _compare(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """TP, FP and FN of runs: (3, rows)."""
    shared = ours @ theirs.transpose(0, 2, 1)
    mine, yours = ours.sum(axis=2), theirs.sum(axis=2)
    union = mine[:, :, None] + yours[:, None, :] - shared
    meets = (shared > 0) & (shared >= IOU * union)
    hits = meets.any(axis=2).sum(axis=1)
    return np.stack([hits, (mine > 0).sum(axis=1) - hits, ((yours > 0) & ~meets.any(axis=1)).sum(axis=1)])


def mean_f1(counts: Counts) -> float:
    """F1 ×100: over a video's classes that have any, then over videos."""
    hits, strays, misses = (np.asarray(c, np.float64) for c in counts)
    total = 2 * hits + strays + misses
    there = total > 0
    each = np.where(there, 2 * hits / np.where(there, total, 1), 0.0)
    classes = there.sum(axis=1)
    video = np.where(classes > 0, each.sum(axis=1) / np.maximum(classes, 1), 1.0)
    return float(100 * video.mean())


def _mask(name: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 3 or not values.size:
        raise ContractError(f"{name} is (videos, segments, classes), this is {values.shape}")
    if values.dtype != bool:
        if not np.isin(values, (0, 1)).all():
            raise ContractError(f"{name} is a mask of 0 and 1; threshold probabilities first")
        values = values.astype(bool)
    return values
