"""Compact: an admitted batch is one table a stage, not one a shard.

    <root>/compact/batch=<key>/<stage>-<sha16>.parquet           the rows, in a few files of bounded size
    <root>/compact/batch=<key>/<stage>-<sha16>.places.parquet    of each row of such a file, which shard it came from
    <root>/compact/batch=<key>/<stage>-<sha16>.shards.parquet    the shards' manifests, one row each

Shards stay the unit of work and of resume; who only reads (a release, near-duplicates) opens these instead. Rows are
sorted by their key and hold nothing of how they were cut, so 3 shards or 200 give the same bytes; where each came from
lies beside them, row for row. Files are named by their bytes and written only where they are not there. What the head
of a batch says of them is what counts (`winnow.core.admitted`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from winnow.core.errors import ContractError
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.core.manifest import Manifest
from winnow.core.nearby import AT_A_TIME

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: What the rows of one file take in memory, about, bytes. Where a batch is larger, its table is several files.
MOST_BYTES = 128 << 20
NAME_CHARS = 16
#: What is kept of a manifest: all that a release says of a shard, and where its table lies.
SHARD_COLUMNS = {
    "stage": "string",
    "v": "string",
    "batch": "string",
    "shard": "string",
    "file": "string",
    "sha256": "string",
    "bytes": "int64",
    "rows": "int64",
    "rows_in": "int64",
    "ok": "int64",
    "failed": "int64",
    "code": "string",
    "params": "string",
    "model": "string",
    "sidecar": "string",
    "sidecar_bytes": "int64",
    "retry_of": "string",
    "at": "string",
    "seconds": "double",
    "cpu_seconds": "double",
    "device": "string",
    "host": "string",
}


def folder(batch: str) -> str:
    """Where the tables of a batch lie."""
    return f"compact/batch={batch}"


def compacted(
    lake: Lake, batch: str, shards: Mapping[str, tuple[str, Sequence[Manifest]]], head: dict[str, Any] | None
) -> dict[str, dict[str, Any]]:
    """One table of each stage of a batch, out of the commits of its shards (by stage: its fingerprint, and they in
    order of their numbers). What the batch's `head` names already, made from the same shards, is neither read nor
    written.

    Returns by stage {"v", "files": [{"path", "sha256", "bytes", "rows", "shard", "places": {"path", "sha256"}}],
    "shards": {"path", "sha256", "rows"}, "made_from"}: `shard` names the only one there is, and then there are no
    places. A stage without shards has no files. ContractError for a shard that changed after it was committed."""
    there = set(lake.list(folder(batch)))
    known = (head or {}).get("stages", {})
    return {
        stage: _Compact(lake, stage, fingerprint, batch, manifests, there).entry(known.get(stage, {}))
        for stage, (fingerprint, manifests) in shards.items()
    }


def paths(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every file that a stage's entry in a head names, with its digest; none of an entry that names shards."""
    if "shards" in entry:
        for file in entry["files"]:
            yield file["path"], file["sha256"]
            if file["places"]:
                yield file["places"]["path"], file["places"]["sha256"]
        yield entry["shards"]["path"], entry["shards"]["sha256"]


def holds(key: str, sha256: str) -> bool:
    """Whether a compact file is what its name says."""
    return key.rpartition("/")[2].partition(".")[0].endswith(f"-{sha256[:NAME_CHARS]}")


class _Compact:
    """The shards of one stage, on their way to one table."""

    def __init__(
        self, lake: Lake, stage: str, fingerprint: str, batch: str, manifests: Sequence[Manifest], there: set[str]
    ) -> None:
        self.lake, self.stage, self.fingerprint, self.batch = lake, stage, fingerprint, batch
        self.manifests, self.there = manifests, there

    def entry(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """What a head says of the stage."""
        if not self.manifests:
            return {"v": self.fingerprint, "files": []}
        made_from = digest([[m.shard, m.sha256, m.sidecar_bytes] for m in self.manifests])
        if known.get("made_from") == made_from and self._are_there(known):
            return {**known, "v": self.fingerprint}
        files = [
            {
                "path": self._keep(data := _bytes(rows), "parquet"),
                "sha256": sha256_bytes(data),
                "bytes": len(data),
                "rows": rows.num_rows,
                "shard": self.manifests[0].shard if len(self.manifests) == 1 else None,
                "places": self._places(numbers) if len(self.manifests) > 1 else None,
            }
            for rows, numbers in self._parts()
        ]
        listed = self._listed()
        shards = {"path": self._keep(listed, "shards.parquet"), "sha256": sha256_bytes(listed)}
        return {
            "v": self.fingerprint,
            "files": files,
            "shards": {**shards, "rows": len(self.manifests)},
            "made_from": made_from,
        }

    def _are_there(self, known: Mapping[str, Any]) -> bool:
        return all(path.rpartition("/")[2] in self.there for path, _ in paths(known))

    def _keep(self, data: bytes, ext: str) -> str:
        """Write a file where it is not there yet; its key."""
        name = f"{self.stage}-{sha256_bytes(data)[:NAME_CHARS]}.{ext}"
        key = f"{folder(self.batch)}/{name}"
        if name in self.there and self.lake.is_local:
            with suppress(FileNotFoundError):
                os.utime(self.lake.full(key))  # as new: no head may name it, and `winnow clean` leaves what is new
        if name not in self.there or (self.lake.is_local and not self.lake.exists(key)):
            self.lake.create(key, data)
            self.there.add(name)
        return key

    # -- rows ----------------------------------------------------------------------------------------------------------
    def _parts(self) -> Iterator[tuple[pa.Table, np.ndarray]]:
        """The rows of each file, in order, and from which of the shards each came. All files but the last hold equally
        many rows, as many as follows from what all rows take: not from how they were cut. What is more than one file
        may hold is sorted in runs that lie on the disk, so memory does not grow with it."""
        import numpy as np
        import pyarrow as pa

        with TemporaryDirectory(prefix="winnow-compact-") as work:
            runs, keys, weight = self._runs(Path(work))
            ranks = np.empty(len(keys), np.int64)
            ranks[_sorted(keys)] = np.arange(len(keys))
            numbers = keys["number"].to_numpy()
            most = max(1, -(-len(keys) // max(1, -(-weight // MOST_BYTES))))
            starts = np.cumsum([0, *(len(run) for run, _ in runs)])
            places = [ranks[start:][order] for start, (_, order) in zip(starts, runs, strict=False)]
            for first in range(0, max(len(keys), 1), most):
                cuts = [np.searchsorted(own, (first, first + most)) for own in places]
                here = np.argsort(np.concatenate([own[a:b] for own, (a, b) in zip(places, cuts, strict=True)]))
                pieces = [run.slice(a, b - a) for (run, _), (a, b) in zip(runs, cuts, strict=True)]
                origins = [
                    numbers[start:][order[a:b]] for start, (_, order), (a, b) in zip(starts, runs, cuts, strict=False)
                ]
                yield self._joined(pieces).take(pa.array(here)), np.concatenate(origins)[here]

    def _runs(self, work: Path) -> tuple[list[tuple[pa.Table, np.ndarray]], pa.Table, int]:
        """Sorted runs, each of as many shards as fit into memory, with the order that they were brought into; the keys
        of all rows, as they come; and what all rows take, bytes."""
        runs: list[tuple[pa.Table, np.ndarray]] = []
        keys: list[pa.Table] = []
        held: list[tuple[pa.Table, pa.Table]] = []
        holds_bytes = weight = 0
        for number, rows in enumerate(self._shards()):
            own = sum(_weight(chunk) for column in rows.columns for chunk in column.chunks)
            weight += own
            if held and holds_bytes + own > MOST_BYTES:
                runs.append(_run(held, work / f"{len(runs)}.arrow", self._joined))
                keys, held, holds_bytes = [*keys, *(key for _, key in held)], [], 0
            held.append((rows, _keys(rows, number)))
            holds_bytes += own
        runs.append(_run(held, work / f"{len(runs)}.arrow" if runs else None, self._joined))
        return runs, self._joined([*keys, *(key for _, key in held)]).combine_chunks(), weight

    def _shards(self) -> Iterator[pa.Table]:
        """The rows of each shard; of a lake in a store a few are asked for at a time."""
        numbers = range(len(self.manifests))
        if self.lake.is_local:
            yield from map(self._shard, numbers)
            return
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for first in numbers[::AT_A_TIME]:
                yield from pool.map(self._shard, numbers[first : first + AT_A_TIME])

    def _shard(self, number: int) -> pa.Table:
        import io

        import pyarrow.parquet as pq

        data = io.BytesIO(self.lake.read_table(self.manifests[number]))
        with pq.ParquetFile(data) as file:  # of small files it takes half of what pq.read_table does
            return file.read(use_threads=False).replace_schema_metadata(None)

    def _joined(self, tables: Sequence[pa.Table]) -> pa.Table:
        import pyarrow as pa

        try:
            return pa.concat_tables(tables, promote_options="default")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ContractError(
                f"shards of {self.stage} of batch {self.batch} have columns of different types ({error}): run "
                f"`winnow verify --batch {self.batch}`"
            ) from error

    # -- beside them ---------------------------------------------------------------------------------------------------
    def _places(self, numbers: np.ndarray) -> dict[str, str]:
        import pyarrow as pa

        names = pa.array([manifest.shard for manifest in self.manifests])
        data = _bytes(pa.table({"shard": names.take(pa.array(numbers))}))
        return {"path": self._keep(data, "places.parquet"), "sha256": sha256_bytes(data)}

    def _listed(self) -> bytes:
        """The manifests, as a table."""
        import pyarrow as pa

        from winnow.core.table import plain_schema

        rows = [
            {name: record[name] for name in SHARD_COLUMNS}
            | {"params": json.dumps(record["params"], sort_keys=True, ensure_ascii=False)}
            for record in (manifest.record() for manifest in self.manifests)
        ]
        return _bytes(pa.Table.from_pylist(rows, schema=plain_schema(SHARD_COLUMNS)))


def _bytes(rows: pa.Table) -> bytes:
    from winnow.core.table import to_bytes

    return to_bytes(rows.combine_chunks())


def _keys(rows: pa.Table, number: int) -> pa.Table:
    """What a table's rows are sorted by, of a shard: two candidates may lead to one clip, in one shard or in two."""
    import pyarrow as pa

    named = [name for name in ("sample_id", "candidate_id") if name in rows.column_names]
    return rows.select(named).append_column("number", pa.array([number] * len(rows), pa.int32()))


def _sorted(keys: pa.Table) -> np.ndarray:
    """Places of rows in order of their keys; of equal ones the earlier is first."""
    import pyarrow.compute as pc

    order: np.ndarray = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names]).to_numpy()
    return order


def _run(
    held: Sequence[tuple[pa.Table, pa.Table]], path: Path | None, joined: Callable[[Sequence[pa.Table]], pa.Table]
) -> tuple[pa.Table, np.ndarray]:
    """Tables with their keys as one, sorted, and its order; mapped from a file where one is named."""
    import pyarrow as pa

    order = _sorted(joined([keys for _, keys in held]))
    rows = joined([rows for rows, _ in held]).take(pa.array(order))
    if path is not None:
        with pa.ipc.new_file(path, rows.schema) as file:
            file.write_table(rows)
        rows = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return rows, order


def _weight(values: pa.Array) -> int:
    """What values take, bytes, however they are cut."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_fixed_size_list(kind):
        return _weight(values.flatten())
    if pa.types.is_list(kind):
        return 4 * len(values) + _weight(values.flatten())
    if pa.types.is_string(kind):
        return 4 * len(values) + (pc.sum(pc.binary_length(values)).as_py() or 0)
    return 0 if pa.types.is_null(kind) else len(values) * max(1, kind.bit_width // 8)
