"""Which clip a person is shown next: first those that others began and that lack answers, then untouched ones, then
those with the fewest answers. Within each group the order is a person's own, the same every time: two people who start
together begin with different clips, and clips of one video seldom follow each other."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache


class Queue:
    """An order over the clips of one release."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = tuple(ids)
        self._known = frozenset(ids)
        self.order = lru_cache(maxsize=16)(self._order)

    def __contains__(self, sample_id: str) -> bool:
        return sample_id in self._known

    def __len__(self) -> int:
        return len(self.ids)

    def among(self, ids: Collection[str]) -> frozenset[str]:
        """Those of some clips that are in it."""
        return self._known.intersection(ids)

    def next(self, person: str, done: Collection[str], answered: Mapping[str, int], least: int) -> str | None:
        """The next clip for a person who has `done` some, given how many people answered which; None at the end.
        `least` is how many people a clip needs."""
        touched = [(i, n) for i, n in answered.items() if n and i in self._known]
        begun = [i for i, n in touched if n < least and i not in done]
        if begun:
            return min(begun, key=lambda i: (-answered[i], place(person, i)))
        if len(touched) < len(self):
            untouched = next((i for i in self.order(person) if not answered.get(i) and i not in done), None)
            if untouched is not None:
                return untouched
        fewest = min((n for i, n in touched if i not in done), default=0)
        return next((i for i in self.order(person) if answered.get(i) == fewest and i not in done), None)

    def complete(self, answered: Mapping[str, int], least: int) -> int:
        """How many of these clips have enough answers."""
        return sum(1 for i, n in answered.items() if n >= least and i in self._known)

    def _order(self, person: str) -> tuple[str, ...]:
        return tuple(sorted(self.ids, key=lambda i: place(person, i)))


def place(person: str, sample_id: str) -> bytes:
    """Where a clip stands in a person's shuffle."""
    return hashlib.blake2b(f"{person}\x1f{sample_id}".encode(), digest_size=8).digest()
