"""`winnow fit --scorer two_tower`: train the two-tower scorer on named batches and freeze it.

It stands beside the built-in scorer, is fitted on the same clips in the same folds, and is frozen in the same way: its
digest is that of the measured clips, the parameters, the seed and the code that fits. Needs torch (the image `model`).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from winnow.core.errors import ConfigError
from winnow.core.lake import Lake
from winnow.fitting.fit import freeze

if TYPE_CHECKING:
    from winnow.models.two_tower_fit import FitParams

MODEL = "two_tower"


def fit(lake: Lake, batches: Sequence[str], *, seed: int = 0, params: FitParams | None = None) -> dict[str, object]:
    """Fit on the clips of batches that have both picture and sound measured; make the model the current one.

    Returns {"scorer", "model": digest, "computed": False when this very model was there, "batches", "clips", "videos",
    "folds", "auc"}. ContractError when a batch is not measured or the corpus is too small to cross-fit; ConfigError
    without torch.
    """
    from dataclasses import replace

    if find_spec("torch") is None:
        raise ConfigError("the two-tower scorer is trained with torch, which is not installed here: run `make models`")
    from winnow.models import two_tower_fit

    params = replace(params or two_tower_fit.FitParams(), seed=seed)
    known = {"scorer": MODEL}
    return freeze(
        lake, MODEL, batches, two_tower_fit, params, kind="safetensors", option=f"--scorer {MODEL} ", known=known
    )
