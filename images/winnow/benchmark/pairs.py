"""`winnow benchmark pairs`: how well the ridge scorer tells pairs of a picture and a sound of the same thing.

A folder of pictures, each with a sound of its name beside it (duck.png, duck.ogg), as Debian's tuxpaint-stamps-default
has them (GPL-2: installed by apt, never passed on). Both networks encode them as they encode clips, the map is fitted
in folds, and each fold's pairs are judged by the map that did not see them: the area under the ROC curve with the
percentile bootstrap over pairs, and how often a picture's own sound is the first, or among the first five, of its
gallery. The same with sounds shuffled among the pairs is what chance looks like. Silent sounds are left out and named.

A fold's scores are counted in deviations above the mismatched pairs of the other folds, as the house counts them, and
Platt scaling on those folds' own pairs makes probabilities of them (`estimates.platt`). So told, with no pair judged by
itself: precision and recall of the rule (RULE_Z), and how often pairs of a probability are right. Both kinds of pairs
weigh the same in them, since how many mismatched pairs there are to a true one is the benchmark's choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.core.errors import ContractError
from winnow.core.lake import sha256_file
from winnow.estimates.detection import CONFIDENCE, Draws
from winnow.estimates.platt import platt
from winnow.estimates.separation import separation
from winnow.models.correspondence_error import RULE_Z
from winnow.models.ridge_fit import FitParams, fit_map
from winnow.models.scorers import unit

PICTURES, SOUNDS = (".png", ".jpg", ".jpeg", ".webp"), (".ogg", ".wav", ".flac", ".mp3")
#: A sound whose loudest sample is below this, of full scale 1, is silent: −60 dBFS.
SILENT = 1e-3
#: Fewest pairs of a fold's gallery.
LEAST = 5


@dataclass(frozen=True)
class Pairs:
    """Encoded pairs: names (n), picture (n, d), sound (n, e); silent: names of those that were left out."""

    names: Sequence[str]
    picture: np.ndarray
    sound: np.ndarray
    silent: Sequence[str]


def paired(folder: Path, without: Sequence[str] = ()) -> list[tuple[Path, Path]]:
    """Pictures and their sounds under a folder, by name; `without`: parts of paths that are left out. Of pictures that
    have the same sound the first counts: in two folds, one would give the other away."""
    found, heard = [], set()
    for picture in sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES):
        inside = picture.relative_to(folder).as_posix()
        sounds = [picture.with_suffix(suffix) for suffix in SOUNDS if picture.with_suffix(suffix).is_file()]
        if sounds and not any(part in inside for part in without):
            digest = sha256_file(sounds[0])
            if digest not in heard:
                found.append((picture, sounds[0]))
            heard.add(digest)
    return found


def encode(found: Sequence[tuple[Path, Path]], weights: Path, models: tuple[str, str] = ("lite0", "w8a8")) -> Pairs:
    """What both networks make of pairs of files; ContractError for a file that cannot be decoded."""
    from winnow.models.picture_classes import PictureClasses
    from winnow.models.sound_classes import SoundClasses
    from winnow.models.weights import find

    see = PictureClasses(weights, find(weights, "efficientnet", models[0]))
    hear = SoundClasses(weights, find(weights, "yamnet", models[1]))
    names, seen, heard, silent = [], [], [], []
    for picture, sound in found:
        wave = _wave(sound, hear.preprocessing.rate_hz)
        if not len(wave) or np.abs(wave).max() < SILENT:
            silent.append(picture.stem)
            continue
        names.append(picture.stem)
        seen.append(see(flattened(picture, see.preprocessing.size))[0].mean(axis=0))
        heard.append(hear(wave)[0].mean(axis=0))
    if len(names) < 3 * LEAST:
        raise ContractError(f"{len(names)} pairs with sound, and the benchmark needs {3 * LEAST}")
    return Pairs(names, np.stack(seen), np.stack(heard), silent)


def flattened(path: Path, size: int) -> np.ndarray:
    """A picture as one clip's: uint8, (1, size, size, 3); what is transparent is white."""
    from winnow.media.ffmpeg import av
    from winnow.models.pictures import Scaler

    try:
        with av.open(str(path)) as file:
            shown = next(file.decode(video=0)).to_ndarray(format="rgba").astype(np.float32)
    except (av.error.FFmpegError, StopIteration) as error:
        raise ContractError(f"{path} is no picture: {error}") from error
    opaque = shown[..., 3:] / 255
    flat = np.round(shown[..., :3] * opaque + 255 * (1 - opaque)).astype(np.uint8)
    return Scaler(size, size, "shortest")(av.VideoFrame.from_ndarray(flat, format="rgb24"))[None]


def _wave(path: Path, rate_hz: int) -> np.ndarray:
    """A sound, mono: float32, (samples,)."""
    from winnow.media import decode
    from winnow.media.ffmpeg import av

    try:
        with av.open(str(path)) as file:
            frames = list(file.decode(audio=0))
    except (av.error.FFmpegError, IndexError) as error:
        raise ContractError(f"{path} is no sound: {error}") from error
    return decode.waveform(frames, rate_hz=rate_hz, mono=True)[0] if frames else np.zeros(0, np.float32)


@dataclass(frozen=True)
class Judged:
    """Pairs that maps were not fitted on, (n,) each: cosine; sigma, deviations above mismatched pairs of other folds;
    p, the probability of a true pair, NaN where the other folds do not tell the kinds apart; true; seen, the number of
    its picture.

    rank: (pictures,) how many sounds beat a picture's own, in galleries of `gallery` sounds."""

    cosine: np.ndarray
    sigma: np.ndarray
    p: np.ndarray
    true: np.ndarray
    seen: np.ndarray
    rank: np.ndarray
    gallery: float


def judge(pairs: Pairs, *, folds: int = 4, seed: int = 0, shuffled: bool = False) -> Judged:
    """Each picture with each sound of its fold, by the map of the other folds; shuffled: sounds are dealt out anew."""
    rng = np.random.default_rng(seed)
    sound = pairs.sound[rng.permutation(len(pairs.names))] if shuffled else pairs.sound
    fold = rng.permutation(len(pairs.names)) % folds
    cosines, ranks, seen, number = [], [], [], []
    for k in range(folds):
        held = np.flatnonzero(fold == k)
        one = fit_map(pairs.picture[fold != k], sound[fold != k], FitParams())
        cosine = unit(one.picture(pairs.picture[held])) @ unit(one.sound(sound[held])).T
        cosines.append(cosine)
        ranks.append((cosine > np.diag(cosine)[:, None]).sum(axis=1))
        seen.append(np.repeat(held, len(held)))
        number.append(np.full(cosine.size, k))
    score, of = np.concatenate([cosine.ravel() for cosine in cosines]), np.concatenate(number)
    true = np.concatenate([np.eye(len(cosine), dtype=bool).ravel() for cosine in cosines])
    sigma, p = np.zeros(len(score)), np.full(len(score), np.nan)
    for k in range(folds):
        null = score[(of != k) & ~true]
        counted = (score - null.mean()) / max(float(null.std()), 1e-6)
        sigma[of == k] = counted[of == k]
        fitted = platt(counted[(of != k) & true])
        if fitted is not None:
            p[of == k] = 1 / (1 + np.exp(-(fitted[0] * counted[of == k] + fitted[1])))
    sizes = float(np.mean([len(cosine) for cosine in cosines]))
    return Judged(score, sigma, p, true, np.concatenate(seen), np.concatenate(ranks), sizes)


def judged(pairs: Pairs, *, folds: int = 4, seed: int = 0, shuffled: bool = False) -> dict[str, float]:
    """How the map does on pairs that it was not fitted on: {"auc", "auc_low", "auc_high", "p_value", "recall_1",
    "recall_5", "chance_1", "chance_5", "gallery", and of the rule "precision", "recall" with `_low` and `_high`,
    "false_accept": share of mismatched pairs that it takes}."""
    found = judge(pairs, folds=folds, seed=seed, shuffled=shuffled)
    said = separation(found.cosine, found.true, found.seen, found.seen, rule=0.0, seed=seed)
    return {
        "auc": said.auc,
        "auc_low": said.auc_low,
        "auc_high": said.auc_high,
        "p_value": said.p_value,
        "recall_1": round(float((found.rank < 1).mean()), 4),
        "recall_5": round(float((found.rank < 5).mean()), 4),
        "chance_1": round(1 / found.gallery, 4),
        "chance_5": round(5 / found.gallery, 4),
        "gallery": found.gallery,
        **ruled(found, seed),
    }


def ruled(found: Judged, seed: int = 0) -> dict[str, float]:
    """Precision and recall of the rule where true and mismatched pairs are equally many, with the bootstrap over
    pictures; precision of a rule that takes nothing is 0."""
    taken, pictures = found.sigma >= RULE_Z, int(found.seen.max()) + 1
    kinds = (found.true & taken, found.true, ~found.true & taken, ~found.true)
    sums = np.stack([np.bincount(found.seen, kind, pictures) for kind in kinds], axis=1)

    def shares(of: np.ndarray) -> np.ndarray:
        right, wrong = of[..., 0] / of[..., 1], of[..., 2] / of[..., 3]
        return np.stack([right / np.maximum(right + wrong, 1e-9), right, wrong])

    at, drawn = shares(sums.sum(axis=0)), shares(Draws.of(pictures, seed).counts @ sums)
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [edge, 1 - edge], axis=1)
    told = {"precision": (at[0], low[0], high[0]), "recall": (at[1], low[1], high[1])}
    rows = {
        f"{name}{end}": round(float(value), 4)
        for name, of in told.items()
        for end, value in zip(("", "_low", "_high"), of, strict=True)
    }
    return rows | {"false_accept": round(float(at[2]), 4)}


def curve(found: Sequence[Judged]) -> list[dict[str, float | int]]:
    """The calibration curve of several divisions into folds: for each tenth of probability that holds true or
    mismatched pairs, the mean of what was said, and the share of true pairs where both kinds are equally many."""
    p, true = np.concatenate([one.p for one in found]), np.concatenate([one.true for one in found])
    p, true = p[~np.isnan(p)], true[~np.isnan(p)]
    weight = np.where(true, 1 / max(true.sum(), 1), 1 / max((~true).sum(), 1))
    tenth = np.minimum((p * 10).astype(int), 9)
    rows = []
    for place in np.unique(tenth).tolist():
        own = tenth == place
        rows.append(
            {
                "from": place / 10,
                "to": (place + 1) / 10,
                "true_pairs": int(true[own].sum()),
                "pairs": int(own.sum()),
                "said": round(float(np.average(p[own], weights=weight[own])), 4),
                "share_true": round(float(np.average(true[own], weights=weight[own])), 4),
                "weight": round(float(weight[own].sum() / 2), 4),
            }
        )
    return rows


def averaged(pairs: Pairs, *, seeds: Sequence[int], shuffled: bool = False) -> Mapping[str, float]:
    """The mean of `judged` over several divisions into folds; auc_low and auc_high are theirs, averaged."""
    rows = [judged(pairs, seed=seed, shuffled=shuffled) for seed in seeds]
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}


def pairs(folder: Path, weights: Path, *, without: Sequence[str] = (), seeds: Sequence[int] = range(10)) -> dict:
    """The benchmark on a folder: {"pairs", "silent", "ridge", "shuffled", "rule": its threshold in deviations, "curve",
    "calibration_error": the mean distance of what is said from the share of true pairs}."""
    from winnow.models import single_threaded

    single_threaded()
    encoded = encode(paired(folder, without), weights)
    calibrated = curve([judge(encoded, seed=seed) for seed in seeds])
    error = sum(row["weight"] * abs(row["said"] - row["share_true"]) for row in calibrated)
    return {
        "pairs": len(encoded.names),
        "silent": list(encoded.silent),
        "ridge": averaged(encoded, seeds=seeds),
        "shuffled": averaged(encoded, seeds=seeds, shuffled=True),
        "rule": RULE_Z,
        "curve": calibrated,
        "calibration_error": round(error, 4),
    }
