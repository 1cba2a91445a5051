"""Where vectors by second come from: stage tables of a release, or a Parquet file; both become one mapped store.

From stage tables, each input is a list of `stage.column`. An envelope on a grid (`visual.motion`, `audio.onset`) gives
the cells of each second, and features by second (`vggish.features`, `vgg19.features`) those of each; a layer that
describes a whole clip is repeated in every second. A Parquet file has
`sample_id` and one column an input, flat lists of float32, and says in its schema's metadata what they are: `shape` by
input (JSON, without rows: [10, 49, 512], channels last) and `layout`, which is `channels_last` and nothing else; and in
`encoders` (JSON, network by input), where it is to be known, whose vectors they are.

A store lies in the lake under `vectors/<digest>/`, named by what it is made from, and is made once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from winnow.core.errors import ConfigError, ContractError
from winnow.core.lake import Lake, digest, sha256_file
from winnow.train.loader import CARD, Vectors
from winnow.train.stage_vectors import of_stages, shards
from winnow.train.store import LAYOUT, Block, make

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

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
    lake: Lake,
    folder: Path,
    wanted: pa.Array,
    inputs: Mapping[str, Sequence[str]],
    seconds: int,
    source: str | None,
    most_missing: float,
) -> Joined:
    """The vectors of these clips (ids, one an example). ContractError, with the command that makes what is missing,
    when more than `most_missing` of the clips have none; and for values that are not finite or have another shape."""
    failed: dict[str, str] = {}
    if source is not None:
        store = of_file(lake, Path(source), tuple(inputs))
    else:
        store, failed = of_stages(lake, folder, inputs, seconds)
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
    rows = shards(folder)
    for stage in stages:
        if without := sorted({r["batch"] for r in rows} - {r["batch"] for r in rows if r["stage"] == stage}):
            return f"run `winnow run {stage} --batch {without[0]}`, then `winnow release`"
    return (
        f"no batch of this release has cut it, or {', '.join(stages)} have not measured it: run `winnow curate --batch "
        "BATCH` over the list that names it, then `winnow release`; or give --set vectors=FILE"
    )


# -- a file ------------------------------------------------------------------------------------------------------------
def of_file(lake: Lake, path: Path, inputs: tuple[str, ...]) -> Path:
    """The store of somebody's own vectors, made of their Parquet file where it is not there. ConfigError without that
    file; ContractError for one of another form."""
    import pyarrow.parquet as pq

    if not path.is_file():
        raise ConfigError(f"--set vectors={path}: no such file")
    target = Path(lake.full(f"vectors/{digest({'file': sha256_file(path), 'inputs': sorted(inputs), 'form': 2})}"))
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
    make(target, ids, blocks, shapes, source={"file": path.name, "encoders": json.loads(said.get("encoders", "{}"))})
    return target


def _column(path: Path, file: pq.ParquetFile, name: str, shape: tuple[int, ...], names: list[str]) -> Iterator[Block]:
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
        yield np.arange(at, at + len(batch)), slice(None), flat.reshape(len(batch), *shape)
        at += len(batch)
