"""Listed: which of a release's clips a person is shown next, asked of the release itself and never loaded as a whole: a
release may have ten million. The groups are those of `winnow.explorer.queue`; within one the order is that of the ids,
which are a shuffle, begun at a place of the person's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from winnow.explorer.queue import place

#: Clips that are looked at at a time.
WINDOW = 256
_FILES = "select sample_id from ops.fct_clip_files where sample_id between ? and ? and sample_id in (select unnest(?))"


class Listed:
    """The clips of a release that have a file and fulfil a condition on `fct_clips c`; `tuples` answers queries."""

    def __init__(self, tuples: Callable[[str, Sequence[object]], list[tuple[Any, ...]]], condition: str) -> None:
        self._tuples, self._condition = tuples, condition
        self._known: dict[str, bool] = {}

    def __contains__(self, sample_id: str) -> bool:
        return sample_id in self.among([sample_id])

    @cached_property
    def _count(self) -> int:
        has_file = "exists (select 1 from ops.fct_clip_files f where f.sample_id = c.sample_id)"
        found = self._tuples(f"select count(*) from fct_clips c where ({self._condition}) and {has_file}", [])
        return int(found[0][0])

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> Iterator[str]:
        """All of them, in their order."""
        return self._from("")

    def among(self, ids: Collection[str]) -> set[str]:
        """Those of some clips that are listed; each is looked up once."""
        new = [one for one in ids if one not in self._known]
        if new:
            by_id = "c.sample_id = ?" if len(new) == 1 else "c.sample_id in (select unnest(?))"
            query = f"select c.sample_id from fct_clips c where ({self._condition}) and {by_id}"
            found = {row[0] for row in self._tuples(query, [new[0] if len(new) == 1 else new])}
            there = set(self._with_files(sorted(found)))
            self._known.update((one, one in there) for one in new)
        return {one for one in ids if self._known[one]}

    def next(self, person: str, done: Collection[str], answered: Mapping[str, int], least: int) -> str | None:
        """As `Queue.next`."""
        listed = self.among(list(answered))
        touched = [(one, people) for one, people in answered.items() if people and one in listed]
        begun = [one for one, people in touched if people < least and one not in done]
        if begun:
            return min(begun, key=lambda one: (-answered[one], place(person, one)))
        if len(touched) < len(self):
            untouched = next((i for i in self._order(person) if not answered.get(i) and i not in done), None)
            if untouched is not None:
                return untouched
        left = [(people, place(person, one), one) for one, people in touched if one not in done]
        return min(left)[2] if left else None

    def complete(self, answered: Mapping[str, int], least: int) -> int:
        """How many of these clips have enough answers."""
        listed = self.among(list(answered))
        return sum(1 for one, people in answered.items() if people >= least and one in listed)

    def _order(self, person: str) -> Iterator[str]:
        first = hashlib.blake2b(person.encode(), digest_size=10).hexdigest()
        yield from self._from(first)
        for one in self._from(""):
            if one >= first:
                return
            yield one

    def _from(self, first: str) -> Iterator[str]:
        """Ids from one on, in their order, a window at a time."""
        sign = ">="
        while True:
            query = f"select c.sample_id from fct_clips c where ({self._condition}) and c.sample_id {sign} ?"
            window = [row[0] for row in self._tuples(f"{query} order by c.sample_id limit {WINDOW}", [first])]
            yield from self._with_files(window)
            if len(window) < WINDOW:
                return
            first, sign = window[-1], ">"

    def _with_files(self, ids: Sequence[str]) -> list[str]:
        """Those of some clips, in the order of their ids, that have a file."""
        if not ids:
            return []
        there = {row[0] for row in self._tuples(_FILES, [ids[0], ids[-1], list(ids)])}
        return [one for one in ids if one in there]
