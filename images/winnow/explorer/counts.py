"""Counts: how many clips there are of each value that a view may be narrowed by.

A facet of few values is counted ahead: one pass over the release counts how often each combination of values occurs (a
release never changes, so once a process, beside the pages), and what stands beside a value is summed from those
combinations. A text, a range or a facet of many values is not in them: its clips are counted in one pass of their own,
and kept for the next page of the same view; that pass costs many times the page's rows, so of a larger release it is
made when somebody asks. Facets of many values (labels, classes) have a page of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import lru_cache
from threading import Lock, Thread
from typing import Any

import numpy as np

from winnow.explorer.facets import CANDIDATES, FACETS, value_of
from winnow.explorer.published import Published
from winnow.explorer.view import Condition, View, where

#: Most combinations of batch, list and licence that are kept of a release: past that, the one of most values is one of
#: many.
MOST_COMBINATIONS = 20_000
#: Clips up to which a text, a range or a value of many is counted without being asked.
COUNTED_CLIPS = 50_000
#: How long a page waits for the first pass, s; pages before its end have no counts.
WAIT_S = 2.0
#: Combinations by view that are kept in memory.
KEPT = 32
#: Clips by value, None where nobody counted.
Named = Mapping[str | None, int | None]


class Combinations:
    """How often each combination of values of some facets occurs. Arrays of (combinations,): `counts`, and by facet
    which of its `values` each has."""

    def __init__(self, rows: list[tuple[Any, ...]], names: tuple[str, ...]) -> None:
        self.counts = np.array([row[-1] for row in rows], np.int64)
        self.total = int(self.counts.sum())
        self.values: dict[str, list[str | None]] = {}
        self.codes: dict[str, np.ndarray] = {}
        for at, name in enumerate(names):
            known: dict[str | None, int] = {}
            self.codes[name] = np.array([known.setdefault(row[at], len(known)) for row in rows], np.int32)
            self.values[name] = list(known)

    def of(self, chosen: dict[str, str]) -> tuple[int, dict[str, Named]]:
        """How many clips have all the values that are chosen, and by facet how many have each of its values and those
        chosen of the other facets, most first."""
        wrong = {name: ~self._having(name, value_of(text)) for name, text in chosen.items() if name in self.codes}
        misses = np.sum(list(wrong.values()), axis=0) if wrong else np.zeros(len(self.counts), np.int64)
        found: dict[str, Named] = {}
        for name, codes in self.codes.items():
            rest = misses - wrong[name] if name in wrong else misses
            by_code = np.bincount(codes, np.where(rest == 0, self.counts, 0), len(self.values[name])).astype(np.int64)
            found[name] = self._named(name, by_code)
        return int(self.counts[misses == 0].sum()), found

    def _having(self, name: str, value: str | None) -> np.ndarray:
        many = FACETS[name].many_a_clip
        fits = [one == value or (many and one is not None and value in one.split(",")) for one in self.values[name]]
        return np.array([*fits, False])[self.codes[name]]

    def _named(self, name: str, by_code: np.ndarray) -> dict[str | None, int]:
        found: dict[str | None, int] = {}
        for value, clips in zip(self.values[name], by_code.tolist(), strict=True):
            parts: Sequence[str | None] = [value]
            if value is not None and FACETS[name].many_a_clip:
                parts = value.split(",")
            for part in parts:
                if clips:
                    found[part] = found.get(part, 0) + clips
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0] is None, item[0] or "")))


def _into(future: Future[Combinations], count: Callable[[], Combinations]) -> None:
    """Give a future what is counted, or why it was not."""
    try:
        future.set_result(count())
    except Exception as error:  # whoever waits raises it
        future.set_exception(error)


class Counts:
    """Counts of one release."""

    def __init__(self, published: Published) -> None:
        self.published = published
        self.few: tuple[str, ...] = ()
        self._all: Future[Combinations] | None = None
        self._starting = Lock()
        self._of = lru_cache(maxsize=KEPT)(self._count)
        self.first = lru_cache(maxsize=KEPT)(self._first)

    def all(self) -> Combinations | None:
        """Of the whole release; None while they are counted."""
        with self._starting:
            if self._all is None or (self._all.done() and self._all.exception() is not None):
                self._all = Future()
                Thread(target=_into, args=(self._all, lambda: self._count(None)), daemon=True).start()
            waited = self._all
        try:
            return waited.result(WAIT_S)
        except TimeoutError:
            return None

    def of(self, view: View, everything: Combinations) -> tuple[int | None, dict[str, Named]]:
        """How many clips a view has (None: nobody counted, they are too many), and the counts beside its values, given
        those of the whole release."""
        chosen = tuple((name, text) for name, text in view.chosen if name not in self.few)
        free = view.plain().but(chosen=chosen)
        if not free.is_narrowed:
            return everything.of(dict(view.chosen))
        if everything.total > COUNTED_CLIPS and not view.counted:
            return None, {name: dict.fromkeys(values) for name, values in everything.of({})[1].items()}
        return self._of(free).of({name: text for name, text in view.chosen if name in self.few})

    def values(self, view: View, name: str, like: str, limit: int) -> list[dict[str, Any]]:
        """Values of a facet among a view's other clips, most first, whose text contains `like`: value, clips."""
        facet, tables = FACETS[name], self.published.tables
        column, conditions = facet.column(tables), view.conditions(tables, without=name)
        source = view.source(without=name)
        source += CANDIDATES if facet.of_list and CANDIDATES not in source else ""
        if like:
            conditions.append(Condition(f"contains(lower({column}), ?)", (like.lower(),)))
        return self.published.rows(
            f"select {column} as value, count(*) as clips from {source}{where(conditions)} "
            f"group by 1 order by clips desc, value limit {limit}",
            [value for one in conditions for value in one.values],
        )

    def _first(self, view: View, name: str, most: int) -> Named:
        """The first values of a facet of many."""
        return {row["value"]: row["clips"] for row in self.values(view, name, "", most)}

    def _count(self, view: View | None) -> Combinations:
        tables = self.published.tables
        if view is None:
            self.few = self._few()
        conditions = view.conditions(tables) if view else []
        columns = [FACETS[name].column(tables) for name in self.few]
        source = view.source() if view else "fct_clips c"
        if any(FACETS[name].of_list for name in self.few) and CANDIDATES not in source:
            source += CANDIDATES
        rows = self.published.tuples(
            f"select {', '.join([*columns, 'count(*)'])} from {source}{where(conditions)} group by all",
            [value for one in conditions for value in one.values],
        )
        return Combinations(rows, self.few)

    def _few(self) -> tuple[str, ...]:
        """Facets of few values, whose combinations are few too: of batch, list and licence, whose values lists decide,
        as many as have."""
        tables = self.published.tables
        there = [name for name, facet in FACETS.items() if facet.is_few and facet.is_there(tables)]
        open_ended = [name for name in ("batch", "list", "licence") if name in there]
        while open_ended:
            columns = [FACETS[name].sql for name in open_ended]
            source = "fct_clips c" + (CANDIDATES if any(FACETS[name].of_list for name in open_ended) else "")
            counted = ", ".join(f"approx_count_distinct({column})" for column in [f"({', '.join(columns)})", *columns])
            ((together, *sizes),) = self.published.tuples(f"select {counted} from {source}")
            if together <= MOST_COMBINATIONS:
                break
            most = open_ended[sizes.index(max(sizes))]
            open_ended.remove(most)
            there.remove(most)
        return tuple(there)
