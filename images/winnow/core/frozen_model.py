"""Frozen models: what was fitted on a corpus, kept under the digest of all that it follows from.

<root>/models/<name>/<digest>.<kind>    the model
<root>/models/<name>/<digest>.json      its card: identity, SHA-256 of the file, what it was fitted on, figures
<root>/models/<name>/current            the digest of the one in use
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from winnow.core import cpu
from winnow.core.errors import ContractError
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.core.pointer import Pointer


@dataclass(frozen=True)
class FrozenModel:
    """A kind of model of a lake: its name, its file's ending, and the command line that makes it, which is named where
    another was put in use meanwhile."""

    name: str
    kind: str = "npz"
    command: str = "the command that fitted it"

    def reuse(
        self, lake: Lake, identity: Mapping[str, object], since: Pointer | None = None
    ) -> tuple[str, dict[str, Any] | None]:
        """The digest of what has this identity, and its card where it was frozen before: it is then the one in use.
        StaleWriter when another was put in use after `since` (`lake.model_pointer`) was taken."""
        model = digest(identity)
        card = self._known(lake, model)
        if card is not None:
            lake.set_model_current(self.name, model, since, self.command)
        return model, card

    def freeze(
        self,
        lake: Lake,
        model: str,
        identity: Mapping[str, object],
        data: bytes,
        card: Mapping[str, object],
        since: Pointer | None = None,
    ) -> None:
        """Keep a fitted model and its card, the card last, and make it the one in use. ConfigError where this process
        computes with other instructions than the pinned ones; StaleWriter when another was put in use after `since`."""
        cpu.check()
        whole = {**card, "identity": identity, "sha256": sha256_bytes(data)}
        lake.create(lake.model_key(self.name, model, self.kind), data)
        text = json.dumps(whole, indent=1, sort_keys=True) + "\n"
        lake.create(lake.model_key(self.name, model, "json"), text.encode())
        lake.set_model_current(self.name, model, since, self.command)

    def read(self, lake: Lake, model: str) -> bytes:
        """The file of a frozen model; ContractError when it is not the one that its card says, or is not there."""
        key = lake.model_key(self.name, model, self.kind)
        data, card = lake.read_or_none(key), self._known(lake, model)
        if data is None or (card is not None and card.get("sha256") not in (None, sha256_bytes(data))):
            what = "is not there" if data is None else "changed after it was frozen (its card says another sha256)"
            raise ContractError(f"{lake.full(key)} {what}: remove it and its card, then fit it again")
        return data

    def current_card(self, lake: Lake) -> dict[str, Any] | None:
        """The card of the model in use, or None before the first."""
        model = lake.model_current(self.name)
        return None if model is None else self.card(lake, model)

    def card(self, lake: Lake, model: str) -> dict[str, Any]:
        """The card of a model that was frozen; ContractError for one that is not there, or damaged."""
        card = self._known(lake, model)
        if card is None:
            key = lake.model_key(self.name, model, "json")
            raise ContractError(f"{lake.full(key)} is not there, and `current` beside it names its model: fit it again")
        return card

    def _known(self, lake: Lake, model: str) -> dict[str, Any] | None:
        key = lake.model_key(self.name, model, "json")
        return lake.read_json(key, "remove it and its model, then fit it again")
