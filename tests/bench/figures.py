"""How a bench prints what it found; nothing here is measured."""

from __future__ import annotations

import json


def show(figure: dict[str, object], as_json: bool) -> None:
    """One figure, as an object or as a line."""
    print(json.dumps(figure) if as_json else "  ".join(f"{key} {value}" for key, value in figure.items()), flush=True)
