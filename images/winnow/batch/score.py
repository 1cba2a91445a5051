"""Batches scored by the ridge scorer in this process, from encoding to the gate: what the DAG `score` does for `ridge`.

Both networks first (`winnow weights install` brings them); what YAMNet's tags flag anew is separated and scored again;
then the map is fitted where none is, or again, every batch is scored by it, it is calibrated, and the batches are
admitted with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.core.runtime import run_stage
from winnow.core.sample import check_batch
from winnow.core.settings import Settings
from winnow.core.stage import is_ready

SCORER = "ridge"
ENCODERS = ("efficientnet", "yamnet")
#: What follows from the flags, in order (`batch.curate.stages_after`).
RECYCLED = ("separate", "rescore")


def score(
    batches: Sequence[str],
    settings: Settings,
    lake: Lake,
    *,
    refit: bool = False,
    seed: int = 0,
    params: dict[str, dict[str, Any]] | None = None,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> dict[str, Any]:
    """Encode, flag, separate, fit, score, calibrate and gate measured batches. `params`: stage parameters by stage.

    Returns what each step returned: {"fit", "calibrate", "gate", and by batch a step's name}. ContractError for no
    batch or one that is not measured; ConfigError where a checkpoint is not there.
    """
    from winnow.batch.decide import decide_separate
    from winnow.fitting import fit_ridge
    from winnow.fitting.calibrate import calibrate
    from winnow.gates import gate_batch

    keys = sorted({check_batch(key) for key in batches})
    if not keys:
        raise ContractError("no batch was named: winnow score --batches 2026-11-01,2026-11-02")
    done: dict[str, dict[str, Any]] = {key: {} for key in keys}

    def run(stage: str, key: str) -> None:
        done[key][stage] = run_stage(lake, stage, key, (params or {}).get(stage, {}), settings)

    for key in keys:
        for stage in ENCODERS:
            run(stage, key)
        done[key]["flag"] = decide_separate(key, settings, lake)
        for stage in RECYCLED:
            if is_ready(stage, lake):
                run(stage, key)
    current = None if refit else lake.model_current(SCORER)
    done["fit"] = {"model": current, "computed": False} if current else fit_ridge.fit(lake, keys, seed=seed)
    quality = done["fit"].get("quality")
    if quality and not quality["is_trusted"]:
        say(
            f"winnow score: the map cannot be trusted: AUC {quality['auc']} ({quality['auc_low']} to "
            f"{quality['auc_high']}) on {quality['clips']} clips that it was not fitted on. Fit it on more, `--refit`."
        )
    for key in keys:
        run(SCORER, key)
    done["calibrate"] = calibrate(lake, keys, [SCORER], seed=seed)
    done["gate"] = gate_batch(keys, settings, lake)
    return done
