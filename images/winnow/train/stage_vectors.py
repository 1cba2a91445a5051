"""Vectors by second from the stage tables that a release was built from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, digest, sha256_bytes
from winnow.core.stage import stage_columns
from winnow.train.loader import CARD
from winnow.train.store import Block, make

if TYPE_CHECKING:
    import pyarrow as pa


def shards(folder: Path) -> list[dict]:
    """The tables that a release was built from: stage, batch, path, sha256."""
    import pyarrow.parquet as pq

    path = folder / "ops" / "fct_shards.parquet"
    return pq.read_table(path, columns=["stage", "batch", "path", "sha256"]).to_pylist()


def of_stages(
    lake: Lake, folder: Path, inputs: Mapping[str, Sequence[str]], seconds: int
) -> tuple[Path, dict[str, str]]:
    """The store of these columns, and why clips that were measured have none: id → reason."""
    columns = stage_columns()
    for listed in inputs.values():
        for name in listed:
            stage, _, column = name.partition(".")
            if stage not in columns or "float" not in columns[stage].get(column, ""):
                raise ConfigError(f"{name!r} is no vector of a stage: give stage.column, as in visual.v0")
    rows = shards(folder)
    stages = sorted({name.partition(".")[0] for listed in inputs.values() for name in listed})
    used = {stage: sorted((r for r in rows if r["stage"] == stage), key=lambda r: r["path"]) for stage in stages}
    batches = sorted({r["batch"] for r in rows if r["batch"]})
    for stage, found in used.items():
        if not found:
            raise ContractError(
                f"this release has no table of stage {stage}: run `winnow run {stage} --batch "
                f"{batches[0] if batches else 'BATCH'}` for each of its batches, then `winnow release`"
            )
    name = digest(
        {
            "inputs": {k: list(v) for k, v in inputs.items()},
            "seconds": seconds,
            "form": 2,
            "tables": {stage: [r["sha256"] for r in found] for stage, found in used.items()},
        }
    )
    tables = {stage: _Tables(lake, stage, found, columns[stage]) for stage, found in used.items()}
    failed: dict[str, str] = {}
    for of in tables.values():
        failed |= of.failed
    target = Path(lake.full(f"vectors/{name}"))
    if not (target / CARD).is_file():
        source = {"tables": sorted(inputs), "encoders": {s: of.encoder for s, of in tables.items() if of.encoder}}
        make(target, *_assembled(tables, inputs, seconds), source=source)
    return target, failed


class _Tables:
    """A stage's tables of a release. rows: where each measured clip stands (the last table that measured it), id →
    (table, row); failed: why others were not; encoder: whose vectors they hold, where they say it. ContractError for
    tables of two networks."""

    def __init__(self, lake: Lake, stage: str, found: list[dict], columns: Mapping[str, str]) -> None:
        self.lake, self.stage, self.found, self.columns = lake, stage, found, columns
        self.rows: dict[str, tuple[int, int]] = {}
        self.failed: dict[str, str] = {}
        networks: set[str] = set()
        for k in range(len(found)):
            table = self.read(k, ["outcome", "reason", *(["model"] if "model" in columns else [])])
            said = table.to_pydict()
            for at, (clip, outcome, why) in enumerate(
                zip(said["sample_id"], said["outcome"], said["reason"], strict=True)
            ):
                if outcome == "ok":
                    self.rows[clip] = (k, at)
                else:
                    self.failed[clip] = why
            networks |= {*said.get("model", ())} - {None}
        self.failed = {clip: why for clip, why in self.failed.items() if clip not in self.rows}
        if len(networks) > 1:
            one, other, *_ = sorted(networks)
            raise ContractError(
                f"tables of stage {stage} hold vectors of {len(networks)} networks, {one} and {other}, which do not "
                f"compare: run `winnow run {stage}` again for the batches of one of them"
            )
        self.encoder = next(iter(networks), None)

    def read(self, k: int, columns: list[str]) -> pa.Table:
        """Columns of one table, ids first; ContractError where it is not the one that was released."""
        import io

        import pyarrow.parquet as pq

        shard = self.found[k]
        data = self.lake.read(shard["path"])
        if sha256_bytes(data) != shard["sha256"]:
            path = self.lake.full(shard["path"])
            raise ContractError(f"{path} changed after it was committed: run `winnow verify --all`")
        return pq.read_table(io.BytesIO(data), columns=["sample_id", *columns])

    def values(
        self, columns: Sequence[str], names: list[str], seconds: int
    ) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """Columns of these clips, a table at a time: which of `names`, and of each column (clips, seconds, positions,
        numbers)."""
        import pyarrow as pa

        aside = [name for name in ("grid_hz", "seconds", "positions") if name in self.columns]
        by_table: dict[int, list[tuple[int, int]]] = {}
        for k, name in enumerate(names):
            table, row = self.rows[name]
            by_table.setdefault(table, []).append((row, k))
        for table, places in sorted(by_table.items()):
            rows, wanted = (np.array(found, np.int64) for found in zip(*sorted(places), strict=True))
            there = self.read(table, [*columns, *aside]).take(pa.array(rows))
            yield wanted, {c: _by_second(there, f"{self.stage}.{c}", c, self.columns[c], seconds) for c in columns}


def _assembled(
    tables: Mapping[str, _Tables], inputs: Mapping[str, Sequence[str]], seconds: int
) -> tuple[pa.Array, dict[str, Iterator[Block]], dict[str, tuple[int, ...]]]:
    """Ids that every stage has, and of each input its blocks and shape."""
    import pyarrow as pa

    names = sorted(set.intersection(*({*of.rows} for of in tables.values())))
    shapes, blocks = {}, {}
    for kind, listed in inputs.items():
        by_stage: dict[str, list[str]] = {}
        for name in listed:
            by_stage.setdefault(name.partition(".")[0], []).append(name.partition(".")[2])
        first = {
            f"{stage}.{column}": values.shape
            for stage, columns in by_stage.items()
            if names
            for column, values in next(tables[stage].values(columns, names[:1], seconds))[1].items()
        }
        places, at, positions = {}, 0, 1
        for name in listed if names else ():
            positions, before = first[name][2], positions
            if (at and positions != before) or (kind != "visual" and positions != 1):
                raise ContractError(f"{name} has {positions} positions: it is an input of pictures that stands alone")
            places[name] = slice(at, at := at + first[name][3])
        shapes[kind] = (seconds, positions, at) if kind == "visual" else (seconds, at)
        blocks[kind] = _blocks(tables, by_stage, places, names, seconds, kind == "visual")
    return pa.array(names, pa.string()), blocks, shapes


def _blocks(
    tables: Mapping[str, _Tables],
    by_stage: Mapping[str, list[str]],
    places: Mapping[str, slice],
    names: list[str],
    seconds: int,
    placed: bool,
) -> Iterator[Block]:
    for stage, columns in by_stage.items():
        for rows, found in tables[stage].values(columns, names, seconds):
            for column, values in found.items():
                where = places[f"{stage}.{column}"]
                if values.shape[3] != where.stop - where.start:
                    raise ContractError(
                        f"{stage}.{column} of clip {names[rows[0]]} has {values.shape[3]} values, that of others "
                        f"{where.stop - where.start}: they are of two models; run its stage again"
                    )
                yield rows, where, values if placed else values[:, :, 0]


def _by_second(table: pa.Table, name: str, column: str, kind: str, seconds: int) -> np.ndarray:
    """(clips, seconds, positions, numbers) of a column: float32. Features by second of a longer clip are cut, of a
    shorter one the last second is repeated; where one second is asked for, it is the mean of all."""
    values = table[column].combine_chunks()
    flat = np.asarray(values.flatten().to_numpy(zero_copy_only=False), np.float32)
    count = len(values)
    lengths = (
        np.diff(values.offsets.to_numpy()) if hasattr(values, "offsets") else np.full(count, values.type.list_size)
    )
    if kind.endswith("[]") and "grid_hz" in table.column_names:
        per = int(table["grid_hz"][0].as_py() or 0) if count else 1
        at = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if count else np.zeros(0, np.int64)
        if count and (lengths == 0).any():
            k = int(np.flatnonzero(lengths == 0)[0])
            raise ContractError(f"{name} of clip {table['sample_id'][k].as_py()} is empty")
        cells = np.minimum(np.arange(seconds * per)[None], lengths[:, None] - 1)
        return flat[at[:, None] + cells].reshape(count, seconds, 1, per)
    if count and (lengths != lengths[0]).any():
        k = int(np.flatnonzero(lengths != lengths[0])[0])
        raise ContractError(
            f"{name} of clip {table['sample_id'][k].as_py()} has {lengths[k]} values, that of others {lengths[0]}: "
            "they are of two models; run its stage again"
        )
    if "positions" in table.column_names:
        there, positions = (table[name].to_pylist() for name in ("seconds", "positions"))
        if len({*zip(there, positions, strict=True)}) > 1:
            raise ContractError(f"{name} is of {min(there)} and of {max(there)} seconds: run its stage again, alike")
        values = flat.reshape(count, there[0], positions[0], -1)
        if seconds == 1:
            return values.mean(axis=1, keepdims=True)
        return values[:, np.minimum(np.arange(seconds), there[0] - 1)]
    return np.repeat(flat.reshape(count, 1, 1, -1), seconds, axis=1)
