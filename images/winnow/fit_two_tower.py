"""`winnow fit --scorer two_tower`: train the two-tower scorer on named batches and freeze it.

It stands beside the built-in scorer, is fitted on the same clips in the same folds, and is frozen in the same way: its
digest is that of the measured clips, the parameters, the seed and the code that fits. Needs torch (the image `model`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from winnow.errors import ConfigError, ContractError
from winnow.lake import Lake, digest, sha256_bytes
from winnow.stage import code_digest

if TYPE_CHECKING:
    from winnow.models.two_tower_fit import FitParams

MODEL = "two_tower"


def fit(lake: Lake, batches: Sequence[str], *, seed: int = 0, params: FitParams | None = None) -> dict[str, object]:
    """Fit on the clips of batches that have both picture and sound measured; make the model the current one.

    Returns {"scorer", "model": digest, "computed": False when this very model was there, "batches", "clips", "videos",
    "folds", "auc"}. ContractError when a batch is not measured or the corpus is too small to cross-fit; ConfigError
    without torch.
    """
    from dataclasses import asdict, replace

    import numpy as np

    from winnow.fit import read_corpus
    from winnow.models import single_threaded
    from winnow.sample import check_batch

    if find_spec("torch") is None:
        raise ConfigError("the two-tower scorer is trained with torch, which is not installed here: run `make models`")
    from winnow.models import two_tower_fit
    from winnow.models.correspondence_fit import choose_folds

    single_threaded()
    params = replace(params or two_tower_fit.FitParams(), seed=seed)
    keys = sorted({check_batch(key) for key in batches})
    if not keys:
        raise ContractError("no batch was named: winnow fit --scorer two_tower --batches 2026-11-01,2026-11-02")
    corpus, content = read_corpus(lake, keys)
    folds, videos = choose_folds(corpus.video.tolist(), params.folds), len(np.unique(corpus.video))
    if not folds:
        raise ContractError(
            f"{', '.join(keys)}: {len(corpus)} clips of {videos} videos have picture and sound, too few to cross-fit "
            "by video (each of three folds needs two videos). Fit on more batches."
        )
    identity = {
        "code": code_digest("models.two_tower_fit"),
        "content": content,
        "params": asdict(params),
        "batches": keys,
    }
    model = digest(identity)
    answer = {
        "scorer": MODEL, "model": model, "batches": keys, "clips": len(corpus), "videos": videos, "folds": folds,
    }  # fmt: skip
    card = lake.read_or_none(lake.model_key(MODEL, model, "json"))
    if card is not None:
        lake.set_model_current(MODEL, model)
        return answer | {"computed": False, "auc": json.loads(card)["training"]["auc"]}
    fitted = two_tower_fit.fit(corpus, params)
    training = two_tower_fit.figures(fitted, corpus)
    data = fitted.dumps()
    card = answer | {
        "identity": identity,
        "sha256": sha256_bytes(data),
        "training": training,
        "fold_of_a_video": "sha256('fold' + 0x1f + video_id), its first 15 hex digits, modulo folds",
    }
    lake.create(lake.model_key(MODEL, model, "safetensors"), data)
    lake.create(lake.model_key(MODEL, model, "json"), (json.dumps(card, indent=1, sort_keys=True) + "\n").encode())
    lake.set_model_current(MODEL, model)
    return answer | {"computed": True, "auc": training["auc"]}
