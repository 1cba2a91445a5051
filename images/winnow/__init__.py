"""Winnow curates audio-visual datasets: which clips really belong together, what you hear with what you see.

What users call from Python stands in `winnow.api` and can be had from here: `winnow.open_lake`, `winnow.read_stage` …
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Names of `winnow.api`, imported when the first is asked for: the command line must start fast."""
    api = import_module("winnow.api") if not name.startswith("_") else None
    if api is None or name not in api.__all__:
        raise AttributeError(f"module 'winnow' has no attribute {name!r}")
    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *import_module("winnow.api").__all__])
