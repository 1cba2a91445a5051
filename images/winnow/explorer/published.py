"""The release that the explorer reads: its clips, its rules, its categories. A release never changes, so one connection
to its snapshot serves until another release is current; pages resolve which one that is with every request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.explorer.listed import Listed
from winnow.release import publish
from winnow.release.query import tables

if TYPE_CHECKING:
    import duckdb

#: Releases that stay open.
OPEN = 16
_CLIP = """
    select c.*, f.* exclude (sample_id, batch, shard)
    from fct_clips c left join ops.fct_clip_files f using (sample_id) where c.sample_id = ?
"""
_HEARD = "c.has_audio"
_LISTED = "c.has_audio and c.sample_id in (select sample_id from audioscope_clips)"
#: Clips of the length that AVEL annotates: ten seconds, give or take half a box.
_TEN_SECONDS = "c.has_audio and c.status = 'kept' and c.duration_s between 9.5 and 10.5"


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

    def tuples(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """A query's rows as they are; safe from several threads."""
        with self._con.cursor() as cursor:
            return cursor.execute(query, list(parameters)).fetchall()

    @cached_property
    def columns(self) -> dict[str, str]:
        """Types of the columns of fct_clips, by name."""
        query = "select column_name, data_type from duckdb_columns() where table_name = 'fct_clips' and not internal"
        return dict(self.tuples(query))

    def has(self, sample_id: str) -> bool:
        """Whether it has a clip."""
        return bool(self.tuples("select 1 from fct_clips where sample_id = ?", [sample_id]))

    def file(self, sample_id: str) -> tuple[str, float] | None:
        """The tar that holds a clip's file, and how long the clip is, s; None without one."""
        found = self.tuples("select tar from ops.fct_clip_files where sample_id = ?", [sample_id])
        long = self.tuples("select duration_s from fct_clips where sample_id = ?", [sample_id]) if found else []
        return (found[0][0], long[0][0] or 0.0) if long and found[0][0] else None

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
    def to_rate(self) -> Listed:
        """Clips that can be rated: those of AudioScope's lists where the release has any, else all that sound."""
        listed = Listed(self.tuples, _LISTED) if "audioscope_clips" in self.tables else None
        return listed if listed else Listed(self.tuples, _HEARD)

    @cached_property
    def to_annotate(self) -> Listed:
        """Clips that can be annotated second by second: kept ones of ten seconds."""
        return Listed(self.tuples, _TEN_SECONDS)

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories that a clip may be given: the lists' labels, and those of labelled samples."""
        queries = ["select label as category from fct_clips where label != 'unlabelled'"]
        if "avel_samples" in self.tables:
            queries.append("select category from avel_samples where family = 'avel'")
        return tuple(row["category"] for row in self.rows(f"{' union '.join(queries)} order by category"))


class Releases:
    """Releases of a lake. The last OPEN stay open: an audit asks about an earlier one, a clip's page about all of the
    latest, and a request may have begun before a new one came."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._open = lru_cache(maxsize=OPEN)(lambda release: Published(lake, release))

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
