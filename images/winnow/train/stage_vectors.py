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
from winnow.train.store import make

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
    read = {stage: _read(lake, found, _wanted(inputs, stage, columns[stage])) for stage, found in used.items()}
    failed = {}
    for table, said in read.values():
        failed |= said
        del table
    target = Path(lake.full(f"vectors/{name}"))
    if not (target / CARD).is_file():
        source = {"tables": sorted(inputs), "encoders": _encoders(read)}
        make(target, *_assemble(read, inputs, columns, seconds), source=source)
    return target, failed


def _encoders(read: Mapping[str, tuple[pa.Table, dict]]) -> dict[str, str]:
    """Whose vectors a stage's tables hold, where they say it; ContractError for those of two networks."""
    found = {}
    for stage, (table, _) in read.items():
        if "model" in table.column_names and len(names := sorted({*table["model"].to_pylist()} - {None})):
            if len(names) > 1:
                raise ContractError(
                    f"tables of stage {stage} hold vectors of {len(names)} networks, {names[0]} and {names[1]}, which "
                    f"do not compare: run `winnow run {stage}` again for the batches of one of them"
                )
            found[stage] = names[0]
    return found


def _wanted(inputs: Mapping[str, Sequence[str]], stage: str, columns: Mapping[str, str]) -> list[str]:
    listed = sorted({n.partition(".")[2] for names in inputs.values() for n in names if n.startswith(f"{stage}.")})
    return [*listed, *(name for name in ("grid_hz", "model") if name in columns)]


def _read(lake: Lake, tables_of: list[dict], columns: list[str]) -> tuple[pa.Table, dict[str, str]]:
    """The measured rows of a stage, each clip once (the last table that measured it), and why other clips failed."""
    import io

    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    tables, failed = [], {}
    for shard in tables_of:
        data = lake.read(shard["path"])
        if sha256_bytes(data) != shard["sha256"]:
            raise ContractError(f"{lake.full(shard['path'])} changed after it was committed: run `winnow verify --all`")
        table = pq.read_table(io.BytesIO(data), columns=["sample_id", "outcome", "reason", *columns])
        ok = pc.equal(table["outcome"], "ok")
        rest = table.filter(pc.invert(ok))
        failed |= dict(zip(rest["sample_id"].to_pylist(), rest["reason"].to_pylist(), strict=True))
        tables.append(table.filter(ok).drop_columns(["outcome", "reason"]))
    whole = pa.concat_tables(tables).combine_chunks()
    names = whole["sample_id"].combine_chunks()
    last = np.array(sorted({name: k for k, name in enumerate(names.to_pylist())}.values()), np.int64)
    whole = whole.take(pa.array(last)) if len(last) < len(names) else whole
    there = set(whole["sample_id"].to_pylist())
    return whole, {name: why for name, why in failed.items() if name not in there}


def _assemble(
    read: Mapping[str, tuple[pa.Table, dict]], inputs: Mapping[str, Sequence[str]], columns: Mapping, seconds: int
) -> tuple[pa.Array, dict[str, Iterator[np.ndarray]], dict[str, tuple[int, ...]]]:
    """Ids that every stage has, and of each input its blocks and shape."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = None
    for table, _ in read.values():
        own = table["sample_id"].combine_chunks()
        names = own if names is None else names.filter(pc.is_in(names, value_set=own))
    names = names.take(pc.sort_indices(names))
    blocks, shapes = {}, {}
    for kind, listed in inputs.items():
        parts = []
        for name in listed:
            stage, _, column = name.partition(".")
            table = read[stage][0]
            rows = pc.index_in(names, value_set=table["sample_id"].combine_chunks())
            there = table.take(rows)
            parts.append(_by_second(there, name, column, columns[stage][column], seconds))
        values = np.concatenate(parts, axis=2)
        values = values[:, :, None] if kind == "visual" else values
        blocks[kind], shapes[kind] = iter([values]), values.shape[1:]
    return names.cast(pa.string()), blocks, shapes


def _by_second(table: pa.Table, name: str, column: str, kind: str, seconds: int) -> np.ndarray:
    """(clips, seconds, numbers) of a column: float32."""
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
        return flat[at[:, None] + cells].reshape(count, seconds, per)
    if count and (lengths != lengths[0]).any():
        k = int(np.flatnonzero(lengths != lengths[0])[0])
        raise ContractError(
            f"{name} of clip {table['sample_id'][k].as_py()} has {lengths[k]} values, that of others {lengths[0]}: "
            "they are of two models; run its stage again"
        )
    return np.repeat(flat.reshape(count, 1, -1), seconds, axis=1)
