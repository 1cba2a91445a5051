"""Winnow curates audio-visual datasets: which clips really belong together, what you hear with what you see."""

from __future__ import annotations

__version__ = "0.1.0"
