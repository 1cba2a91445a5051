"""Task query-separate: of a mixture of two clips' sounds, the one that a vector asks for (CLIPSep, AVSET-10M).

clipsep learns a mask for each query; clipsep-nit has two noise heads beside them, which take up what no query names and
are dropped when it is tried. Scores are SDR, SIR and SAR of the first source over the whole signal, and those of the
mixture itself beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from winnow.core.errors import ContractError
from winnow.metrics.bss_eval import quality
from winnow.train import separation_losses as losses
from winnow.train.config import TrainConfig
from winnow.train.nets.clipsep import ClipSep
from winnow.train.queries import prepare
from winnow.train.sizes import Sizes
from winnow.train.sounds import SoundExamples, targets

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["prepare", "targets"]
METRIC = "sdr_db"
#: A binary mask on the mixture's phase has a ceiling of its own for each pair, which nothing here computes.
CEILING = None
FIGURES = ("sdr_db", "sir_db", "sar_db", "mixture_sdr_db", "mixture_sir_db", "mixture_sar_db")


def inputs(config: TrainConfig) -> dict[str, Sequence[str]]:
    """What is standardised: the query vectors."""
    return {"query": config.query}


def build(config: TrainConfig, sizes: Sizes) -> nn.Module:
    """The network of a run."""
    return ClipSep(sizes, noise=config.model == "clipsep-nit")


def terms(
    config: TrainConfig, out: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> dict[str, tuple[float, Tensor | None]]:
    """Loss by term: that of the masks; with noise heads the share of bins where the released clamp would have no
    gradient is told beside it."""
    del given
    asked, target, weight = out["asked"], out["targets"], out["weight"]
    if "noise" not in out:
        both = (losses.masks(asked[:, 0], target[:, 0], weight) + losses.masks(asked[:, 1], target[:, 1], weight)) / 2
        return {"masks": (1.0, both.mean())}
    clamp = "nit_clamp" in config.faithful
    return {
        "masks": (1.0, losses.noise_invariant(asked, out["noise"], target, weight, clamp=clamp).mean()),
        "noise": (config.noise, losses.noise_share(out["noise"], config.noise_room)),
        "saturated": (0.0, losses.saturated(asked.detach(), out["noise"].detach())),
    }


def answers(out: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """SDR, SIR and SAR of the first source, of the estimate and of the mixture: (B,) each, NaN where a source is
    silent."""
    estimates, sources = (out[n].double().cpu().numpy() for n in ("estimate", "sources"))
    rows = []
    for estimate, both in zip(estimates, sources, strict=True):
        found = quality(both, np.stack([estimate, both.sum(0)]))
        rows.append(
            [
                np.nan if one is None else value
                for one in found
                for value in ((one.sdr_db, one.sir_db, one.sar_db) if one else (0.0,) * 3)
            ]
        )
    values = np.array(rows, np.float64).reshape(-1, len(FIGURES))
    return {name: values[:, k] for k, name in enumerate(FIGURES)}


def score(config: TrainConfig, found: Mapping[str, np.ndarray], examples: SoundExamples) -> dict[str, object]:
    """Mean, its standard error and median of each figure over clips without a silent source (`silent`: how many were
    left out); `value` is the mean SDR, `chance` that of the mixture."""
    del config
    heard = np.isfinite(found["sdr_db"])
    if not heard.any():
        raise ContractError(f"a source is silent in each of {len(examples)} pairs: nothing can be scored")
    said: dict[str, dict[str, Any]] = {}
    for name in FIGURES:
        values = np.clip(found[name][heard], -100, 100)
        error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        said[name] = {"mean": float(values.mean()), "standard_error": error, "median": float(np.median(values))}
    value, chance = said["sdr_db"]["mean"], said["mixture_sdr_db"]["mean"]
    return {
        **said,
        "metric": METRIC,
        "value": value,
        "chance": chance,
        "over_mixture_db": value - chance,
        "clips": int(heard.sum()),
        "silent": int((~heard).sum()),
    }


def each(
    config: TrainConfig, found: Mapping[str, np.ndarray], examples: SoundExamples
) -> tuple[np.ndarray, np.ndarray]:
    """SDR of every clip's estimate and of its mixture, NaN where a source is silent: (n,) each."""
    del config, examples
    return np.clip(found["sdr_db"], -100, 100), np.clip(found["mixture_sdr_db"], -100, 100)


def table(found: Mapping[str, np.ndarray], examples: SoundExamples) -> pa.Table:
    """Predictions: a row a clip."""
    import pyarrow as pa

    return pa.table(
        {
            "sample_id": examples.id,
            "clip": examples.clip,
            "split": examples.split,
            "category": examples.label,
            **{name: found[name] for name in FIGURES},
        }
    )
