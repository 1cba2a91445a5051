"""What a network is built for: the sizes of the data, and how narrow it is. Known without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Of the data: numbers a second of sound, numbers a position and positions of a picture, seconds, categories
    without background, numbers of a third input (0: none); `narrow` divides every hidden width."""

    audio: int
    visual: int
    positions: int
    seconds: int
    classes: int
    moving: int = 0
    narrow: int = 1

    def wide(self, published: int) -> int:
        """A hidden width: the published one, divided; an even number, 4 at least."""
        return published if self.narrow == 1 else max(4, published // self.narrow // 4 * 4)
