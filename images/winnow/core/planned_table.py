"""Planned tables: a batch's tables that are planned rather than measured, so that no Stage makes them.

    ingest    candidates, one row per row of a list        decide    which of them are fetched
    plan      the fetched ones, cut into shards            flag      clips whose sound is separated
    mixtures  a release's mixtures, cut into shards

Each has columns after the four that every table begins with, is committed in numbered shards like a stage's, and has a
head, which says what it was made from: while that stands, nothing is made again. Their columns stand here, because
gates and releases read them too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.core.pointer import Pointer
from winnow.core.shard import shard_name

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Began:
    """When a computation began: what the clock said, and where a stopwatch stood that nobody sets."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    stopwatch: float = field(default_factory=time.perf_counter)

    def seconds(self) -> float:
        """How long ago that was, s."""
        return round(time.perf_counter() - self.stopwatch, 3)


@dataclass(frozen=True)
class PlannedTable:
    """A planned table: its name, its columns (aliases as in a Stage's schema), and the decision points of
    thresholds.csv whose rules are the reasons of its failed rows."""

    name: str
    columns: Mapping[str, str]
    rule_points: tuple[str, ...] = ()

    def fingerprint(self, code: str) -> str:
        """The fingerprint of its folder: digest of the code that makes it and of its columns."""
        return digest([code, self.columns])

    def unchanged(self, lake: Lake, batch: str, made_from: str) -> dict[str, Any] | None:
        """What the last run counted, where the batch's table was made from the same things; else None."""
        head = lake.head(self.name, batch)
        return head["counts"] if head and head.get("cut") == made_from else None

    def set_head(
        self,
        lake: Lake,
        batch: str,
        fingerprint: str,
        shards: Sequence[str],
        made_from: str,
        counts: dict[str, Any],
        since: Pointer | None = None,
    ) -> None:
        """Make these shards the batch's table; StaleWriter when others were made it after `since` (the head as this
        run found it) was taken."""
        head = {"v": fingerprint, "shards": list(shards), "cut": made_from, "counts": counts}
        lake.set_head(self.name, batch, head, since, again(self.name, batch))

    def table_of(self, rows: Sequence[Mapping[str, object]]) -> pa.Table:
        """Rows, each with every column, as a table."""
        import pyarrow as pa

        from winnow.core import table

        schema = table.arrow_schema(self.columns)
        values = zip(*map(itemgetter(*schema.names), rows), strict=True) if rows else [()] * len(schema)
        arrays = [pa.array(column, field.type) for column, field in zip(values, schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=schema)

    def commit_rows(
        self,
        lake: Lake,
        batch: str,
        number: int,
        rows: Sequence[Mapping[str, object]],
        *,
        inputs: Mapping[str, str],
        code: str,
        params: Mapping[str, object] | None = None,
    ) -> Manifest:
        """Commit one shard of rows, as `commit_table` does."""
        return self.commit_table(lake, batch, number, self.table_of(rows), inputs=inputs, code=code, params=params)

    def commit_table(
        self,
        lake: Lake,
        batch: str,
        number: int,
        rows: pa.Table,
        *,
        inputs: Mapping[str, str],
        code: str,
        params: Mapping[str, object] | None = None,
    ) -> Manifest:
        """Commit one shard, named by its number and its bytes, which are the same whatever the rows' order; the commit
        that is there where the same one is."""
        from winnow.core import table

        began = Began()
        data = table.to_bytes(rows.sort_by("sample_id").combine_chunks(), table.arrow_schema(self.columns))
        reasons = Counter(reason for reason in rows["reason"].to_pylist() if reason is not None)
        return self.commit(
            lake,
            batch,
            self.fingerprint(code),
            shard_name(number, {"rows": sha256_bytes(data)}),
            data,
            rows=rows.num_rows,
            reasons=reasons,
            inputs=inputs,
            code=code,
            params=params,
            began=began,
        )

    def commit(  # noqa: PLR0913 (what its manifest says, by name)
        self,
        lake: Lake,
        batch: str,
        fingerprint: str,
        shard: str,
        data: bytes,
        *,
        rows: int,
        reasons: Mapping[str, int],
        inputs: Mapping[str, str],
        code: str,
        params: Mapping[str, object] | None = None,
        began: Began | None = None,
    ) -> Manifest:
        """Commit a shard's bytes, unless the shard is committed already; `reasons` counts its failed rows."""
        done = lake.manifest(self.name, fingerprint, batch, shard)
        if done is not None:
            return done
        sha256, failed, began = sha256_bytes(data), sum(reasons.values()), began or Began()
        manifest = Manifest(
            stage=self.name,
            fingerprint=fingerprint,
            batch=batch,
            shard=shard,
            file=f"{shard}.{sha256[:8]}.parquet",
            sha256=sha256,
            bytes=len(data),
            rows=rows,
            rows_in=rows,
            ok=rows - failed,
            failed=failed,
            reasons=dict(sorted(reasons.items())),
            inputs=dict(inputs),
            code=code,
            params=dict(params or {}),
            at=began.at.isoformat(timespec="seconds"),
            seconds=began.seconds(),
        )
        return lake.commit(manifest, data)


def again(table: str, batch: str) -> str:
    """The command that makes a planned table."""
    command = {"decide": "decide --point fetch", "flag": "decide --point separate", "mixtures": "mix"}.get(table, table)
    return f"winnow {command} --batch {batch}"


_LISTED = {
    "video_id": "string",
    "url": "string",
    "start_s": "double",
    "end_s": "double",
    "title": "string",
    "uploader": "string",
    "source_id": "string",
    "content_sha256": "string",
}

INGEST = PlannedTable(
    "ingest",
    {
        "batch": "string",
        "video_id": "string",
        "source": "string",
        "list_path": "string",
        "list_row": "int64",
        "source_id": "string",
        "url": "string",
        "start_s": "double",
        "end_s": "double",
        "title": "string",
        "description": "string",
        "uploader": "string",
        "license": "string",
        "labels": "string[]",
        "duration_s": "double",
        "extra": "string",
        "content_sha256": "string",
    },
)
#: A failed row is a rejected candidate. Rules of the house, and ACAV100M's where the dataset asks for them.
DECIDE = PlannedTable("decide", {"batch": "string", **_LISTED}, rule_points=("fetch", "acav"))
PLAN = PlannedTable("plan", _LISTED)
#: Every row is a clip to separate, and says why.
FLAG = PlannedTable("flag", {"batch": "string", "why": "string"}, rule_points=("separate",))
MIXTURES = PlannedTable(
    "mixtures",
    {
        "release": "string",
        "list_version": "string",
        "split": "string",
        "label": "string",
        "clip1_sample_id": "string",
        "clip1_tar": "string",
        "clip1_sha256": "string",
        "clip2_sample_id": "string",
        "clip2_tar": "string",
        "clip2_sha256": "string",
        "clip2_shift_s": "double",
    },
)

PLANNED_TABLES = {table.name: table for table in (INGEST, DECIDE, PLAN, FLAG, MIXTURES)}
