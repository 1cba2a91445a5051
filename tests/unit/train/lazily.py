"""Modules that need torch: imported when a test asks them for something, so that its file is read without it."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Lazy:
    """Stands for a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, what: str) -> Any:
        return getattr(import_module(self._name), what)
