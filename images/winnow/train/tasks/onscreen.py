"""Task onscreen: of a mixture, the sound whose cause is on the screen (AudioScopeV2).

A separator makes four sources of a mixture of mixtures without knowing any (MixIT); which of the two mixtures each is
given to also teaches a classifier, by sound and picture, what is on the screen. Models are scored where they suppress
as much of what is off the screen: a bias on the logits, found on val, that reaches `osr_db`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from winnow.core.errors import ContractError
from winnow.estimates.separation import auc
from winnow.metrics import calibration, separation
from winnow.train import separation_losses as losses
from winnow.train.config import TrainConfig
from winnow.train.mixtures import OFF, ON, prepare
from winnow.train.nets.onscreen import Onscreen
from winnow.train.sizes import Sizes
from winnow.train.sounds import SoundExamples, targets

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["prepare", "targets"]
METRIC = "si_snr_db at calibrated suppression"
#: Each run has its own: MixIT's best assignment (`mixit_db` of its metrics).
CEILING = None
#: How near the suppression asked for is reached on val, dB.
WITHIN_DB = 0.05
STATISTIC: calibration.Statistic = "mean"


def inputs(config: TrainConfig) -> dict[str, Sequence[str]]:
    """What is standardised: the places of the pictures."""
    del config
    return {"pictures": ("grid",)}


def build(config: TrainConfig, sizes: Sizes) -> nn.Module:
    """The network of a run."""
    return Onscreen(
        sizes,
        config.model.removeprefix("mixit4-"),
        basis=config.basis,
        blocks=config.core_blocks,
        repeats=config.core_repeats,
        layers=config.layers,
        heads=config.heads,
        dropout=config.dropout,
        alone=config.alone_steps,
    )


def terms(
    config: TrainConfig, out: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> dict[str, tuple[float, Tensor | None]]:
    """Loss by term: MixIT, and the classifier's against where MixIT put the sources."""
    del given
    separated, assigned = losses.mixit(out["mixtures"], out["sources"])
    seen = losses.onscreen(out["logits"], assigned, out["mixtures"])
    return {
        "mixit": (1.0, separated.mean()),
        "onscreen": (config.onscreen, None if seen is None else seen * out["joint"]),
    }


def answers(out: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Of each mixture what all scores follow from, mean products over samples: `gram` (B, M, M) of its sources, `cross`
    (B, M) with clip 1's sound, `own` and `whole` (B,), powers of that sound and of the mixture; `logits` (B, M);
    `mixit_db` and `mixture_db` (B,), SI-SNR of MixIT's assignment and of the mixture itself."""
    sources, both = (out[n].double().cpu().numpy() for n in ("sources", "mixtures"))
    _, assigned = losses.mixit(out["mixtures"], out["sources"])
    samples, first, whole = sources.shape[-1], both[:, 0], both.sum(1)
    best = np.einsum("bm,bmt->bt", assigned.double().cpu().numpy(), sources)
    return {
        "gram": np.einsum("bmt,bnt->bmn", sources, sources) / samples,
        "cross": np.einsum("bmt,bt->bm", sources, first) / samples,
        "own": np.mean(first**2, -1),
        "whole": np.mean(whole**2, -1),
        "logits": out["logits"].double().cpu().numpy(),
        "mixit_db": separation.si_snr_db(first, best),
        "mixture_db": separation.si_snr_db(first, whole),
    }


def calibrated(folder: Path, split: str) -> dict[str, np.ndarray]:
    """The bias that val gave, for another split; ContractError where val was never scored."""
    if split == "val":
        return {}
    path = folder / "metrics-val.json"
    if not path.is_file():
        raise ContractError(f"{path} is not there, and val says at which bias other splits are scored: train it again")
    return {"bias": np.array(json.loads(path.read_text())["calibration"]["bias"])}


def score(config: TrainConfig, found: Mapping[str, np.ndarray], examples: SoundExamples) -> dict[str, object]:
    """`winnow metrics calibrate` of the answers: SI-SNR of on-screen mixtures at the bias that suppresses those
    off-screen by `osr_db` (on val, to WITHIN_DB; elsewhere `bias` as val gave it), what is reached here, the
    classifier's AUC; the mixture as floor (`chance`), MixIT's assignment as ceiling."""
    on, off = (examples.label == label for label in (ON, OFF))
    for label, which in ((ON, on), (OFF, off)):
        if not which.any():
            raise ContractError(f"there is no mixture labelled {label} to score")
    suppression = calibration.Suppression.of_powers(
        found["whole"][off], found["gram"][off], found["logits"][off], STATISTIC
    )
    said: dict[str, object] = {}
    if "bias" not in found:
        reached = calibration.calibrate(suppression, config.osr_db)
        if abs(reached.suppression_db - config.osr_db) > WITHIN_DB:
            raise ContractError(f"a suppression of {config.osr_db} dB was missed: {reached.suppression_db:.3f} dB")
        said["calibration"] = asdict(reached)
    bias = float(found["bias"]) if "bias" in found else reached.bias
    value, ceiling, floor = (values[on] for values in (at_bias(found, bias), found["mixit_db"], found["mixture_db"]))
    likely = found["logits"].max(1)
    mean = float(value.mean())
    return {
        **said,
        "metric": METRIC,
        "value": mean,
        "chance": float(floor.mean()),
        "mixit_db": float(ceiling.mean()),
        "median_db": float(np.median(value)),
        "uncalibrated_db": float(at_bias(found, 0.0)[on].mean()),
        "osr_db": suppression.at_db(bias),
        "bias": bias,
        "onscreen": int(on.sum()),
        "offscreen": int(off.sum()),
        "auc": float(auc(likely[on | off], on[on | off], np.ones(int((on | off).sum())))),
        "over_mixture_db": mean - float(floor.mean()),
    }


def at_bias(found: Mapping[str, np.ndarray], bias: float) -> np.ndarray:
    """SI-SNR of every on-screen estimate at a bias, dB: (n,)."""
    weights = calibration.onscreen_weights(found["logits"], bias)
    cross = np.einsum("bm,bm->b", weights, found["cross"])
    made = np.einsum("bm,bmn,bn->b", weights, found["gram"], weights)
    return separation.si_snr_of_products_db(cross, found["own"], made)


def each(
    config: TrainConfig, found: Mapping[str, np.ndarray], examples: SoundExamples
) -> tuple[np.ndarray, np.ndarray]:
    """Value and chance of every on-screen mixture, NaN for the others: (n,) each."""
    said = score(config, found, examples)
    on = examples.label == ON
    value, floor = at_bias(found, float(said["bias"])), found["mixture_db"]
    return np.where(on, value, np.nan), np.where(on, floor, np.nan)


def table(found: Mapping[str, np.ndarray], examples: SoundExamples) -> pa.Table:
    """Predictions: a row a mixture."""
    import pyarrow as pa

    logits = pa.array(found["logits"].astype(np.float32).ravel())
    return pa.table(
        {
            "sample_id": examples.id,
            "clip": examples.clip,
            "split": examples.split,
            "label": examples.label,
            "logits": pa.FixedSizeListArray.from_arrays(logits, found["logits"].shape[1]),
            "mixit_db": found["mixit_db"],
            "mixture_db": found["mixture_db"],
        }
    )
