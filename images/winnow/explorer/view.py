"""View: which clips of a release somebody asks to see, and in which order: read from an address, written as one, and as
a query.

The whole state stands in the address, so that it can be sent to somebody, and its answer is a page by key: the first
clips after the last one that was shown, never the n-th page of all. What a person or a list says goes into a query as a
parameter; names of columns are compared with the release's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from winnow.explorer.facets import CANDIDATES, FACETS, is_number

#: Orders that are offered first, with their names; any other measure is one too.
SORTS = {
    "id": "id (a shuffle)",
    "score": "score",
    "z": "z",
    "effective_z": "effective z",
    "duration_s": "duration",
    "batch": "date",
}
#: Longest text of an address's field.
LONGEST = 300
ORDERED_BY_TEXT = ("id", "batch")
_KEYS = ("q", "sort", "order", "view", "after", "group", "video", "counted")
#: Columns of a page's rows.
COLUMNS = (
    "sample_id",
    "title",
    "label",
    "status",
    "first_failed_rule",
    "split",
    "batch",
    "start_s",
    "end_s",
    "duration_s",
    "score",
    "z",
    "effective_z",
    "flag",
    "is_recycled",
)


class Misread(ValueError):
    """An address that names what there is not; its text says what."""


@dataclass(frozen=True)
class Condition:
    """What a clip must fulfil, in SQL with ? for each of `values`."""

    sql: str
    values: tuple[object, ...] = ()

    def shown(self) -> str:
        """The same with the values in it, for a person to copy."""
        pieces = self.sql.split("?")
        return pieces[0] + "".join(literal(value) + piece for value, piece in zip(self.values, pieces[1:], strict=True))


@dataclass(frozen=True)
class View:
    """A state of the grid. `chosen`: a value of each facet that is narrowed, as an address writes it; `ranges`: a
    measure with its least and its largest value, None for no limit; `after`: the order's value and the id of the last
    clip that was shown; `group`: a clip, for it and its near-duplicates; `video`: a video, for its clips; `counted`:
    count, however long it takes."""

    chosen: tuple[tuple[str, str], ...] = ()
    q: str = ""
    ranges: tuple[tuple[str, float | None, float | None], ...] = ()
    group: str = ""
    video: str = ""
    sort: str = "id"
    down: bool = False
    table: bool = False
    after: tuple[object, str] | None = None
    counted: bool = False

    @classmethod
    def read(cls, fields: Iterable[tuple[str, str]], columns: Mapping[str, str]) -> View:
        """The view of an address's fields, given types by column of fct_clips. Misread for one that names what there
        is not; empty fields are none."""
        one: dict[str, str] = {}
        ranges = []
        for name, value in fields:
            value = value.strip()
            if not value:
                continue
            if len(value) > LONGEST:
                raise Misread(f"{name} has more than {LONGEST} characters")
            if name == "range":
                ranges.append(_range(value, columns))
            elif name in one:
                raise Misread(f"{name} stands there twice")
            elif name in FACETS or name in _KEYS:
                one[name] = value
            else:
                raise Misread(f"there is no filter {name}")
        sort = one.get("sort", "id")
        if sort not in ORDERED_BY_TEXT and not is_number(columns.get(sort)):
            raise Misread(f"clips have no {sort} to sort by")
        order = one.get("order", "up")
        if order not in ("up", "down"):
            raise Misread("order is up or down")
        if one.get("view", "grid") not in ("grid", "table"):
            raise Misread("view is grid or table")
        for name in ("group", "video"):
            if not _is_id(one.get(name, "0" * 20)):
                raise Misread(f"{name} is an id of 20 hexadecimal digits")
        chosen = tuple((name, one[name]) for name in FACETS if name in one)
        return cls(
            chosen,
            one.get("q", ""),
            tuple(ranges),
            one.get("group", ""),
            one.get("video", ""),
            sort,
            order == "down",
            one.get("view") == "table",
            _after(one.get("after"), sort),
            one.get("counted") == "1",
        )

    # -- as an address -------------------------------------------------------------------------------------------------
    def fields(self) -> list[tuple[str, str]]:
        """What an address says of it, in one order."""
        out = [("q", self.q), *self.chosen, *(("range", _written(*one)) for one in self.ranges)]
        out += [("group", self.group), ("video", self.video), ("sort", self.sort if self.sort != "id" else "")]
        out += [("order", "down" if self.down else ""), ("view", "table" if self.table else "")]
        out += [("counted", "1" if self.counted else "")]
        if self.after is not None:
            value, sample_id = self.after
            out.append(("after", sample_id if self.sort == "id" else f"{value}~{sample_id}"))
        return [(name, value) for name, value in out if value]

    def address(self) -> str:
        """The part of an address after `?`, with it; '' for all clips in the first order."""
        return "?" + urlencode(self.fields()) if self.fields() else ""

    def having(self, facet: str, value: str | None) -> View:
        """With another value of a facet, or with none, from the first clip."""
        rest = {**dict(self.chosen), facet: value or ""}
        return replace(self, chosen=tuple((n, rest[n]) for n in FACETS if rest.get(n)), after=None)

    def but(self, **changes: object) -> View:
        """Changed, from the first clip."""
        return replace(self, **{"after": None, **changes})  # type: ignore[arg-type]

    def plain(self) -> View:
        """The same clips in the first order, as it is counted."""
        return self.but(sort="id", down=False, table=False, counted=False)

    @property
    def is_narrowed(self) -> bool:
        """Whether it leaves clips out."""
        return bool(self.chosen or self.q or self.ranges or self.group or self.video)

    # -- as a query ----------------------------------------------------------------------------------------------------
    def conditions(self, tables: frozenset[str], without: str | None = None) -> list[Condition]:
        """What its clips fulfil, but for one facet."""
        found = [Condition(*FACETS[name].holds(value, tables)) for name, value in self.chosen if name != without]
        for column, low, high in self.ranges:
            found.append(Condition(f"isfinite(c.{column}::double)"))
            found += [Condition(f"c.{column} >= ?", (low,))] if low is not None else []
            found += [Condition(f"c.{column} <= ?", (high,))] if high is not None else []
        if self.q:
            said = "contains(lower(c.title), ?) or contains(lower(array_to_string(c.labels, ' ')), ?)"
            found.append(Condition(f"({said} or contains(lower(c.caption), ?))", (self.q.lower(),) * 3))
        if self.video:
            found.append(Condition("c.video_id = ?", (self.video,)))
        if self.group:
            pairs = "select unnest([first_id, second_id]) from fct_duplicates where ? in (first_id, second_id)"
            found.append(Condition(f"(c.sample_id = ? or c.sample_id in ({pairs}))", (self.group, self.group)))
        return found

    def source(self, without: str | None = None) -> str:
        """What it reads: the clips, with the rows of lists where a facet is about them."""
        joined = any(FACETS[name].of_list for name, _ in self.chosen if name != without)
        return f"fct_clips c{CANDIDATES if joined else ''}"

    def rows(self, tables: frozenset[str], limit: int, back: bool = False) -> Condition:
        """The query of a page: so many clips after `after`, or, going `back`, before it, nearest first."""
        conditions = self.conditions(tables)
        down = self.down != back
        sign, order = ("<", "desc") if down else (">", "asc")
        column = "c.sample_id" if self.sort == "id" else f"c.{self.sort}"
        if self.sort == "batch":
            conditions.append(Condition("c.batch is not null"))
        elif self.sort != "id":
            conditions.append(Condition(f"isfinite({column}::double)"))
        if self.after is not None:
            value, sample_id = self.after
            if self.sort == "id":
                conditions.append(Condition(f"c.sample_id {sign} ?", (sample_id,)))
            else:
                tie = f"({column} {sign} ? or c.sample_id {sign} ?)"
                conditions.append(Condition(f"{column} {sign}= ? and {tie}", (value, value, sample_id)))
        columns = [*COLUMNS, *([self.sort] if self.sort not in (*COLUMNS, "id") else [])]
        by = column if self.sort == "id" else f"{column} {order}, c.sample_id"
        text = f"select {', '.join(f'c.{name}' for name in columns)} from {self.source()}"
        return Condition(
            f"{text}{where(conditions)} order by {by} {order} limit {limit}",
            tuple(value for one in conditions for value in one.values),
        )

    def at(self, row: Mapping[str, object]) -> View:
        """The same after a clip."""
        value = row["sample_id"] if self.sort == "id" else row[self.sort]
        return replace(self, after=(value, str(row["sample_id"])))


def where(conditions: Sequence[Condition]) -> str:
    """The conditions of a query."""
    return " where " + " and ".join(one.sql for one in conditions) if conditions else ""


def literal(value: object) -> str:
    """A value as SQL."""
    return repr(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"


def _is_id(text: str) -> bool:
    return len(text) == 20 and set(text) <= set("0123456789abcdef")


def _number(text: str, what: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text.replace("−", "-").replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Misread(f"{what}: {text!r} is no number")
    return value


def _range(text: str, columns: Mapping[str, str]) -> tuple[str, float | None, float | None]:
    """`measure:least:largest`, where either may be left out."""
    column, _, limits = text.partition(":")
    low, _, high = limits.partition(":")
    if not is_number(columns.get(column)):
        raise Misread(f"clips have no measure {column}")
    found = (column, _number(low, column), _number(high, column))
    if found[1:] == (None, None):
        raise Misread(f"the range of {column} has no limit")
    return found


def _written(column: str, low: float | None, high: float | None) -> str:
    return ":".join([column, *("" if limit is None else f"{limit:.12g}" for limit in (low, high))])


def _after(text: str | None, sort: str) -> tuple[object, str] | None:
    if text is None:
        return None
    value, _, sample_id = text.rpartition("~")
    if not _is_id(sample_id):
        raise Misread("after names no clip")
    if sort == "id":
        return sample_id, sample_id
    if sort in ORDERED_BY_TEXT:
        return value, sample_id
    number = _number(value, "after")
    if number is None:
        raise Misread("after names no value")
    return number, sample_id
