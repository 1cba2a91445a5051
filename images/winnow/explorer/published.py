"""The release that the explorer reads: its clips, its rules, its categories. A release never changes, so one connection
to its snapshot serves until another release is current; pages resolve which one that is with every request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.explorer.queue import Queue
from winnow.release import publish
from winnow.release.query import tables

if TYPE_CHECKING:
    import duckdb

_CLIP = """
    select c.*, f.* exclude (sample_id, batch, shard)
    from fct_clips c left join ops.fct_clip_files f using (sample_id) where c.sample_id = ?
"""
_HEARD = "select c.sample_id from fct_clips c join ops.fct_clip_files f using (sample_id) where c.has_audio"
_LISTED = f"{_HEARD} and c.sample_id in (select sample_id from audioscope_clips) order by c.sample_id"
#: Clips of the length that AVEL annotates: ten seconds, give or take half a box.
_TEN_SECONDS = f"{_HEARD} and c.status = 'kept' and c.duration_s between 9.5 and 10.5 order by c.sample_id"


class Published:
    """One release, read-only."""

    def __init__(self, lake: Lake, release: str) -> None:
        self.release = release
        self._con = _open(lake, release)
        self.tables = frozenset(tables(self._con))

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """A query's rows as dicts; safe from several threads."""
        with self._con.cursor() as cursor:
            found: duckdb.DuckDBPyConnection = cursor.execute(query, list(parameters))
            names = [column[0] for column in found.description]
            return [dict(zip(names, map(_finite, row), strict=True)) for row in found.fetchall()]

    def clip(self, sample_id: str) -> dict[str, Any] | None:
        """One clip's row of fct_clips, with `tar`, the key of the tar that holds its file (None without one), and
        `residual_tar` and `residual_start_s` of what was left of its sound (None without one, and in releases that
        were published before these columns)."""
        found = self.rows(_CLIP, [sample_id])
        return {"residual_tar": None, "residual_start_s": None, **found[0]} if found else None

    def rule(self, name: str) -> dict[str, Any] | None:
        """A rule of thresholds.csv."""
        return next(iter(self.rows("select * from thresholds where rule = ?", [name])), None)

    @cached_property
    def to_rate(self) -> Queue:
        """Clips that can be rated: those of AudioScope's lists where the release has any, else all that sound."""
        listed = self.rows(_LISTED) if "audioscope_clips" in self.tables else []
        return Queue([row["sample_id"] for row in listed or self.rows(f"{_HEARD} order by c.sample_id")])

    @cached_property
    def to_annotate(self) -> Queue:
        """Clips that can be annotated second by second: kept ones of ten seconds."""
        return Queue([row["sample_id"] for row in self.rows(_TEN_SECONDS)])

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories that a clip may be given: the lists' labels, and those of labelled samples."""
        queries = ["select label as category from fct_clips where label != 'unlabelled'"]
        if "avel_samples" in self.tables:
            queries.append("select category from avel_samples where family = 'avel'")
        return tuple(row["category"] for row in self.rows(f"{' union '.join(queries)} order by category"))


class Releases:
    """Releases of a lake. The last few stay open: an audit asks about an earlier one, and a request may have begun
    before a new one came."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._open = lru_cache(maxsize=4)(lambda release: Published(lake, release))

    def current(self) -> Published:
        """What is current now; ConfigError before the first release."""
        return self._open(publish.resolve(self.lake))

    def get(self, release: str) -> Published:
        """The release of an id; ConfigError without it."""
        return self._open(publish.resolve(self.lake, release))


def _open(lake: Lake, release: str) -> duckdb.DuckDBPyConnection:
    """A read-only connection. Unlike that of `winnow sql` its configuration is not locked: DuckDB could not open the
    file a second time in one process, and no text of a query comes from outside."""
    import duckdb

    path = publish.folder(lake, release, ("winnow.duckdb",)) / "winnow.duckdb"
    try:
        return duckdb.connect(str(path), read_only=True, config={"enable_external_access": "false"})
    except duckdb.IOException as error:
        raise ContractError(f"{path} cannot be opened: {error}") from error


def _finite(value: object) -> object:
    """No value where a number is none."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
