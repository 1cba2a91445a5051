"""How good the fitted correspondence scorers of a lake are, as their cards say, and who lets one decide that is near
chance.

A scorer near chance decides nothing (dbt's `int_scorers`). Somebody who knows better may let it: `winnow scorers
--trust MODEL --why TEXT` writes it down in `trusted/correspond.json`; the next release decides by it, and publishes the
reason.
"""

from __future__ import annotations

import json

from winnow.core.errors import ConfigError
from winnow.core.frozen_model import FrozenModel
from winnow.core.lake import Lake
from winnow.core.pointer import Pointer

#: The built-in scorer's name among the models of a lake.
CORRESPOND = "correspond"
#: What a release reads of each scorer.
FIELDS = (
    "model",
    "auc",
    "auc_low",
    "auc_high",
    "p_value",
    "clips",
    "groups",
    "clips_effective",
    "accepted",
    "is_trusted",
    "trusted_because",
    "refits",
)
TRUSTED = f"trusted/{CORRESPOND}.json"


def scorers(lake: Lake) -> list[dict[str, object]]:
    """How good each frozen correspondence scorer is, by model; of one that was frozen before this was measured no
    row."""
    found, because = [], trusted(lake)
    for name in lake.list(f"models/{CORRESPOND}"):
        if name.endswith(".json"):
            model = name.removesuffix(".json")
            card = FrozenModel(CORRESPOND).card(lake, model)
            if "quality" in card:
                more = {"trusted_because": because.get(model), "refits": card.get("stability")}
                found.append({"model": model, **card["quality"], **more})
    return found


def trusted(lake: Lake) -> dict[str, str]:
    """Why each scorer was let decide, by model."""
    said = lake.read_json(TRUSTED, "remove it, then run `winnow scorers --trust MODEL --why TEXT` again")
    return dict(said["trusted"]) if said else {}


def trust(lake: Lake, model: str, why: str) -> dict[str, str]:
    """Let a scorer decide whatever its measures say, or, with an empty reason, no longer; what `trusted` then is.
    ConfigError for a model that is not there."""
    since = Pointer(lake, TRUSTED)
    if lake.read_or_none(lake.model_key(CORRESPOND, model, "json")) is None:
        there = ", ".join(str(row["model"]) for row in scorers(lake)) or "none"
        raise ConfigError(f"there is no correspondence scorer {model!r}; there are: {there}")
    known = trusted(lake)
    known.pop(model, None)
    if why.strip():
        known[model] = why.strip()
    text = json.dumps({"trusted": dict(sorted(known.items()))}, indent=1, sort_keys=True)
    since.move(f"{text}\n".encode(), f"winnow scorers --trust {model} …")
    return known
