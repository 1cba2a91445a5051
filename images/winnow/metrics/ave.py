"""Audio-visual event localisation (AVE, VGGSound-AVEL): the share of one-second segments that are named rightly.

A sample is ten segments; each is of the sample's one event category or background, and background is the last class.
Accuracy counts every segment of every sample, background too (released code of AVE, PSP and CPSP).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from winnow.core.errors import ContractError
from winnow.metrics import avvp

#: An event is predicted where its probability is greater than this (CPSP's heads).
EVENT_ABOVE = 0.5


@dataclass(frozen=True)
class Localisation:
    """Accuracies in [0, 1]: over all segments, over those that are background, over those that are an event; and by
    the sample's category (index of the class; background's index for samples without an event), over all segments of
    its samples."""

    samples: int
    segments: int
    correct: int
    accuracy: float
    background_accuracy: float | None
    event_accuracy: float | None
    by_category: dict[int, float]


def from_one_hot(labels: np.ndarray) -> np.ndarray:
    """Class indices of one-hot labels or of scores: (samples, segments, classes + background) → (samples, segments),
    the first of equal maxima."""
    labels = np.asarray(labels)
    if labels.ndim != 3 or labels.shape[2] < 2:
        raise ContractError(f"labels are (samples, segments, classes + background), these are {labels.shape}")
    return labels.argmax(axis=2)


def from_heads(event_logits: np.ndarray, category_logits: np.ndarray) -> np.ndarray:
    """Class indices of a model with two heads (CPSP): background where sigmoid(event) ≤ 0.5, else the sample's best
    category. (samples, segments), (samples, categories) → (samples, segments); background is `categories`."""
    event, category = np.asarray(event_logits, np.float64), np.asarray(category_logits, np.float64)
    if event.ndim != 2 or category.ndim != 2 or len(event) != len(category):
        raise ContractError(
            f"event logits are (samples, segments) and category logits (samples, categories), not {event.shape} and "
            f"{category.shape}"
        )
    background = category.shape[1]
    return np.where(event > _logit(EVENT_ABOVE), category.argmax(axis=1)[:, None], background)


def score(predicted: np.ndarray, truth: np.ndarray, background: int) -> Localisation:
    """Segment accuracy of class indices: both (samples, segments), integers in [0, background].

    ContractError for other shapes or values, and for a true sample with two categories: a sample has one.
    """
    predicted, truth = _indices(predicted, "predictions", background), _indices(truth, "true labels", background)
    if predicted.shape != truth.shape:
        raise ContractError(f"{predicted.shape} predictions cannot be compared with {truth.shape} true labels")
    right, is_event = predicted == truth, truth != background
    category = _category(truth, is_event, background)
    by_category = {int(c): float(right[category == c].mean()) for c in np.unique(category)}
    return Localisation(
        len(truth),
        truth.size,
        int(right.sum()),
        float(right.mean()),
        float(right[~is_event].mean()) if not is_event.all() else None,
        float(right[is_event].mean()) if is_event.any() else None,
        by_category,
    )


def event_f1(predicted: np.ndarray, truth: np.ndarray, background: int) -> float:
    """F1 of events, 0 to 1: of runs of seconds with one class, right where they meet a true run with an intersection
    over union of 0.5 or more; by class, over a sample's classes and over samples, as `winnow.metrics.avvp` counts."""
    predicted, truth = _indices(predicted, "predictions", background), _indices(truth, "true labels", background)
    if predicted.shape != truth.shape:
        raise ContractError(f"{predicted.shape} predictions cannot be compared with {truth.shape} true labels")
    classes = np.arange(background)
    return avvp.mean_f1(avvp.event_counts(predicted[..., None] == classes, truth[..., None] == classes)) / 100


def _category(truth: np.ndarray, is_event: np.ndarray, background: int) -> np.ndarray:
    """The one category of each sample, background where it has none: (samples,)."""
    lowest = np.where(is_event, truth, background).min(axis=1)
    highest = np.where(is_event, truth, -1).max(axis=1)
    two = np.flatnonzero((highest >= 0) & (lowest != highest))
    if len(two):
        at = int(two[0])
        raise ContractError(
            f"{len(two)} samples have events of two categories, the first is sample {at} with {lowest[at]} and "
            f"{highest[at]}: a sample has one event category; make one sample of each"
        )
    return lowest


def _indices(values: np.ndarray, what: str, background: int) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 2 or not values.size:
        raise ContractError(f"{what} are (samples, segments), these are {values.shape}")
    if values.dtype.kind not in "iu":
        raise ContractError(f"{what} are class indices, these are {values.dtype}")
    if values.min() < 0 or values.max() > background:
        raise ContractError(f"{what} run from {values.min()} to {values.max()}, classes from 0 to {background}")
    return values.astype(np.int64, copy=False)


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))
