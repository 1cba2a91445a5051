"""Where vectors by second come from: stage tables of a release, or a Parquet file; both become one mapped store.

From stage tables, each input is a list of `stage.column`. An envelope on a grid (`visual.motion`, `audio.onset`) gives
the cells of each second; a layer that describes a whole clip is repeated in every second. A Parquet file has
`sample_id` and one column an input, flat lists of float32, and says in its schema's metadata what they are: `shape` by
input (JSON, without rows: [10, 49, 512], channels last) and `layout`, which is `channels_last` and nothing else.

A store lies in the lake under `vectors/<digest>/`, named by what it is made from, and is made once.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, digest, sha256_bytes, sha256_file
from winnow.core.stage import stage_columns
from winnow.train.loader import CARD, Vectors

if TYPE_CHECKING:
    import pyarrow as pa

LAYOUT = "channels_last"
SPECIES = ("audio", "visual", "moving")
#: Rows of a Parquet file that are looked at at a time, bytes.
BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class Joined:
    """An open store and, for each example, its row there. left_out: reason → ids of clips without vectors; the rows of
    examples that stay are `kept`."""

    vectors: Vectors
    places: np.ndarray
    kept: np.ndarray
    left_out: Mapping[str, list[str]]


def join(
    lake: Lake, folder: Path, wanted: pa.Array, inputs: Mapping[str, Sequence[str]], seconds: int,
    source: str | None, most_missing: float,
) -> Joined:  # fmt: skip
    """The vectors of these clips (ids, one an example). ContractError, with the command that makes what is missing,
    when more than `most_missing` of the clips have none; and for values that are not finite or have another shape."""
    if source is not None:
        store, failed = _of_file(lake, Path(source), tuple(inputs)), {}
    else:
        store, failed = _of_stages(lake, folder, inputs, seconds)
    vectors = Vectors.open(store)
    rows = vectors.rows_of(wanted)
    silent = _silent(vectors, rows)
    left_out: dict[str, list[str]] = {}
    names = wanted.to_pylist()
    for k in np.flatnonzero((rows < 0) | silent):
        why = "silent" if rows[k] >= 0 else failed.get(names[k], "missing")
        left_out.setdefault(why, []).append(names[k])
    lacking = [name for why, found in left_out.items() if why != "silent" for name in found]
    if len(set(lacking)) > most_missing * len(set(names)):
        where = f"{source} has no row of it" if source else _command(lake, folder, lacking[0], inputs, failed)
        raise ContractError(
            f"{len(set(lacking))} of {len(set(names))} clips have no vectors, more than {most_missing:.0%} "
            f"(--set most_missing=…); the first is clip {lacking[0]}: {where}"
        )
    kept = np.flatnonzero((rows >= 0) & ~silent)
    if not len(kept):
        raise ContractError(f"no clip is left to train on: {', '.join(f'{w} {len(f)}' for w, f in left_out.items())}")
    return Joined(vectors, rows[kept], kept, {why: sorted(set(found)) for why, found in sorted(left_out.items())})


def _silent(vectors: Vectors, rows: np.ndarray) -> np.ndarray:
    """Which rows have nothing but zeros for sound."""
    heard = vectors.arrays["audio"]
    return np.array([row >= 0 and not heard[row].any() for row in rows], bool)


def _command(
    lake: Lake, folder: Path, clip: str, inputs: Mapping[str, Sequence[str]], failed: Mapping[str, str]
) -> str:
    if clip in failed:
        return f"it failed as {failed[clip]}"
    stages = sorted({name.partition(".")[0] for listed in inputs.values() for name in listed})
    rows = _shards(folder)
    for stage in stages:
        if without := sorted({r["batch"] for r in rows} - {r["batch"] for r in rows if r["stage"] == stage}):
            return f"run `winnow run {stage} --batch {without[0]}`, then `winnow release`"
    return (
        f"no batch of this release has cut it, or {', '.join(stages)} have not measured it: run `winnow curate --batch "
        "BATCH` over the list that names it, then `winnow release`; or give --set vectors=FILE"
    )


# -- stage tables ------------------------------------------------------------------------------------------------------
def _shards(folder: Path) -> list[dict]:
    import pyarrow.parquet as pq

    path = folder / "ops" / "fct_shards.parquet"
    return pq.read_table(path, columns=["stage", "batch", "path", "sha256"]).to_pylist()


def _of_stages(
    lake: Lake, folder: Path, inputs: Mapping[str, Sequence[str]], seconds: int
) -> tuple[Path, dict[str, str]]:
    columns = stage_columns()
    for listed in inputs.values():
        for name in listed:
            stage, _, column = name.partition(".")
            if stage not in columns or "float" not in columns[stage].get(column, ""):
                raise ConfigError(f"{name!r} is no vector of a stage: give stage.column, as in visual.v0")
    rows = _shards(folder)
    stages = sorted({name.partition(".")[0] for listed in inputs.values() for name in listed})
    used = {stage: sorted((r for r in rows if r["stage"] == stage), key=lambda r: r["path"]) for stage in stages}
    batches = sorted({r["batch"] for r in rows if r["batch"]})
    for stage, found in used.items():
        if not found:
            raise ContractError(
                f"this release has no table of stage {stage}: run `winnow run {stage} --batch "
                f"{batches[0] if batches else 'BATCH'}` for each of its batches, then `winnow release`"
            )
    name = digest({
        "inputs": {k: list(v) for k, v in inputs.items()}, "seconds": seconds, "form": 1,
        "tables": {stage: [r["sha256"] for r in found] for stage, found in used.items()},
    })  # fmt: skip
    read = {stage: _read(lake, found, _wanted(inputs, stage, columns[stage])) for stage, found in used.items()}
    failed = {}
    for table, said in read.values():
        failed |= said
        del table
    target = Path(lake.full(f"vectors/{name}"))
    if not (target / CARD).is_file():
        _make(target, *_assemble(read, inputs, columns, seconds), source={"tables": sorted(inputs)})
    return target, failed


def _wanted(inputs: Mapping[str, Sequence[str]], stage: str, columns: Mapping[str, str]) -> list[str]:
    listed = sorted({n.partition(".")[2] for names in inputs.values() for n in names if n.startswith(f"{stage}.")})
    return [*listed, *(["grid_hz"] if "grid_hz" in columns else [])]


def _read(lake: Lake, shards: list[dict], columns: list[str]) -> tuple[pa.Table, dict[str, str]]:
    """The measured rows of a stage, each clip once (the last table that measured it), and why other clips failed."""
    import io

    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    tables, failed = [], {}
    for shard in shards:
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


# -- a file ------------------------------------------------------------------------------------------------------------
def _of_file(lake: Lake, path: Path, inputs: tuple[str, ...]) -> Path:
    import pyarrow.parquet as pq

    if not path.is_file():
        raise ConfigError(f"--set vectors={path}: no such file")
    target = Path(lake.full(f"vectors/{digest({'file': sha256_file(path), 'inputs': sorted(inputs), 'form': 1})}"))
    if (target / CARD).is_file():
        return target
    try:
        file = pq.ParquetFile(path)
    except Exception as error:
        raise ContractError(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from error
    said = {k.decode(): v.decode() for k, v in (file.schema_arrow.metadata or {}).items()}
    if said.get("layout") != LAYOUT:
        raise ContractError(
            f"{path}: its metadata says layout {said.get('layout')!r}; {LAYOUT!r} is wanted, transposed"
        )
    shapes = {name: tuple(shape) for name, shape in json.loads(said.get("shape", "{}")).items()}
    for name in ("sample_id", *inputs):
        if name not in file.schema_arrow.names or (name != "sample_id" and name not in shapes):
            raise ContractError(f"{path} has no column {name}, or its metadata says no shape of it")
    ids = file.read(columns=["sample_id"])["sample_id"].combine_chunks()
    names = ids.to_pylist()
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise ContractError(f"{path}: clip {twice} stands in it twice")
    shapes = {name: shapes[name] for name in inputs}
    blocks = {name: _column(path, file, name, shapes[name], names) for name in inputs}
    _make(target, ids, blocks, shapes, source={"file": path.name})
    return target


def _column(path: Path, file: object, name: str, shape: tuple[int, ...], names: list[str]) -> Iterator[np.ndarray]:
    width, at = int(np.prod(shape)), 0
    for batch in file.iter_batches(batch_size=max(1, BLOCK_BYTES // (4 * width)), columns=[name]):
        values = batch.column(0)
        sizes = [len(v) if v.is_valid else 0 for v in values]
        for k, size in enumerate(sizes):
            if size != width:
                raise ContractError(
                    f"{path}: {name} of clip {names[at + k]} has {size} values; shape {list(shape)} is {width}"
                )
        flat = np.asarray(values.flatten().to_numpy(zero_copy_only=False), np.float32)
        yield flat.reshape(len(batch), *shape)
        at += len(batch)


# -- a store -----------------------------------------------------------------------------------------------------------
def _make(
    target: Path, ids: pa.Array, blocks: Mapping[str, Iterator[np.ndarray]], shapes: Mapping[str, tuple[int, ...]],
    source: Mapping[str, object],
) -> None:  # fmt: skip
    """Write a store beside its place and rename it there; of two that make the same one the first counts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        for name, found in blocks.items():
            if not len(ids):
                raise ContractError("no clip has all of the vectors that are asked for")
            shape = (len(ids), *shapes[name])
            array = np.lib.format.open_memmap(scratch / f"{name}.npy", "w+", np.float32, shape)
            at = 0
            for block in found:
                wrong = ~np.isfinite(block).reshape(len(block), -1).all(1)
                if wrong.any():
                    clip = ids[at + int(np.flatnonzero(wrong)[0])].as_py()
                    raise ContractError(f"{name} of clip {clip} has values that are not finite (NaN or infinity)")
                array[at : at + len(block)] = block
                at += len(block)
            array.flush()
            del array
        pq.write_table(pa.table({"sample_id": ids}), scratch / "ids.parquet")
        card = {"inputs": {k: list(v) for k, v in shapes.items()}, "layout": LAYOUT, "rows": len(ids), **source}
        (scratch / CARD).write_text(json.dumps(card, sort_keys=True) + "\n", encoding="utf-8")
        try:
            os.rename(scratch, target)
        except OSError:
            if not (target / CARD).is_file():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
