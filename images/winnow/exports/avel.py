"""VGGSound-AVEL's and AVE's sets from a release, in the files that users of the originals know (named in `read_avel`).

Everything follows one order, that of the list (CSV): by category, video, start. Row i of every HDF5 file is row i of
the list, and order files hold such rows. A clip is named `<video>_<start>`, so that clips of one video are told apart,
which the originals' lists cannot do. HDF5 bytes depend on the rows alone: no times are stored, and the library version,
chunks and compression are fixed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.annotations.segments import SEGMENTS
from winnow.core.errors import ContractError
from winnow.exports.read_avel import DATASET, ORDER, SETS, SPLITS, SetFiles

if TYPE_CHECKING:
    import h5py
    import numpy as np

#: Rows that are held at a time, and of an HDF5 chunk.
BLOCK = 4096
_COLUMNS = ("family", "sample_id", "clip", "video", "start_s", "category", "split", "labels")
Sample = Mapping[str, object]


def write(tables: Path, out: Path) -> dict[str, int]:
    """Write every set that has samples from `tables/avel_samples.parquet`; files, relative to `out`, and their rows."""
    written: dict[str, int] = {}
    if not (tables / "avel_samples.parquet").is_file():
        return written
    for files in SETS:
        samples = members(tables, files)
        if samples:
            (out / files.folder).mkdir(parents=True, exist_ok=True)
            written |= {f"{files.folder}/{name}": rows for name, rows in _write_set(out / files.folder, files, samples)}
    return written


def members(tables: Path, files: SetFiles) -> list[dict[str, object]]:
    """The samples of a set in the order of its list, by the columns of `avel_samples` that the files hold."""
    import duckdb

    where = "family = ? AND split IS NOT NULL" + (" AND in_half" if files.half else "")
    order = "category, video, start_s NULLS FIRST, sample_id"
    query = f"SELECT {', '.join(_COLUMNS)} FROM read_parquet(?) WHERE {where} ORDER BY {order}"
    with duckdb.connect() as con:
        found = con.execute(query, [str(tables / "avel_samples.parquet"), files.family]).fetchall()
    return [dict(zip(_COLUMNS, row, strict=True)) for row in found]


def write_features(
    path: Path,
    samples: Sequence[Sample],
    provider: Callable[[Sample], np.ndarray],
    *,
    dtype: str = "float32",
) -> int:
    """Write features by second as `audio_feature.h5` or `visual_feature.h5` hold them: data set `avadataset`, (samples,
    10, …), in the order of `samples` (`members`). `provider` gives one sample's (seconds, …); a shorter one repeats its
    last row, a longer one is cut (as the released feature code does). ContractError for one that fits no other."""
    import numpy as np

    if not samples:
        raise ContractError(f"{path.name}: no samples to write features of")
    shape: tuple[int, ...] = ()

    def block(rows: Sequence[Sample]) -> np.ndarray:
        nonlocal shape
        found = []
        for row in rows:
            given = np.asarray(provider(row), dtype=dtype)
            if given.ndim < 2 or not len(given) or (shape and given.shape[1:] != shape):
                raise ContractError(
                    f"features of {row['clip']} are {given.shape}; (seconds, {shape or '…'}) are wanted"
                )
            shape = given.shape[1:]
            found.append(
                np.concatenate([given[:SEGMENTS], np.repeat(given[-1:], max(0, SEGMENTS - len(given)), axis=0)])
            )
        return np.stack(found)

    with _file(path) as file:
        _fill(file, DATASET, len(samples), (block(rows) for rows in _blocks(samples)))
    return len(samples)


# -- one set -----------------------------------------------------------------------------------------------------------
def _write_set(folder: Path, files: SetFiles, samples: Sequence[Sample]) -> Iterator[tuple[str, int]]:
    import numpy as np

    categories = sorted({str(row["category"]) for row in samples})
    place = {category: index for index, category in enumerate(categories)}
    with (folder / files.list).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["category", "video_id", "start", "split"])
        writer.writerows([row["category"], row["video"], _number(row["start_s"]), row["split"]] for row in samples)
    yield files.list, len(samples)
    (folder / files.categories).write_text("".join(f"{name}\n" for name in categories), encoding="utf-8")
    yield files.categories, len(categories)

    with (folder / files.labels_json).open("w", encoding="utf-8") as file:
        said = ("category", "family", "sample_id", "split")
        lines = (_dumps({row["clip"]: {"label": row["labels"], **{n: row[n] for n in said}}}) for row in samples)
        file.write("[\n" + ",\n".join(lines) + "\n]\n")
    yield files.labels_json, len(samples)
    by_clip: dict[str, list[str]] = {}
    by_category: dict[str, list[str]] = {}
    for row in samples:
        by_clip.setdefault(str(row["clip"]), []).append(str(row["category"]))
        by_category.setdefault(str(row["category"]), []).append(str(row["clip"]))
    one = {clip: found[0] if len(found) == 1 else found for clip, found in by_clip.items()}
    for name, value in ((files.video_label, one), (files.label_video, by_category)):
        (folder / name).write_text(_dumps(value, indent=1) + "\n", encoding="utf-8")
        yield name, len(value)

    def one_hot(rows: Sequence[Sample]) -> np.ndarray:
        found = np.zeros((len(rows), SEGMENTS, len(categories) + 1), np.uint8)
        events = np.array([row["labels"] for row in rows], bool)
        at = np.array([place[str(row["category"])] for row in rows])
        found[..., -1] = ~events
        found[np.arange(len(rows))[:, None], np.arange(SEGMENTS), at[:, None]] = events
        return found

    def whole(rows: Sequence[Sample]) -> np.ndarray:
        found = np.zeros((len(rows), len(categories) + 1), np.uint8)
        found[np.arange(len(rows)), [place[str(row["category"])] for row in rows]] = 1
        return found

    for name, encode in ((files.labels, one_hot), (files.video_labels, whole)):
        with _file(folder / name) as file:
            _fill(file, DATASET, len(samples), (encode(rows) for rows in _blocks(samples)))
        yield name, len(samples)
    for split in SPLITS:
        rows = np.flatnonzero([row["split"] == split for row in samples]).astype(np.int64)
        with _file(folder / files.order(split)) as file:
            file.create_dataset(ORDER, data=rows, track_times=False)
        yield files.order(split), len(rows)


def _number(value: object) -> object:
    """A start as the list writes it: whole seconds without a fraction, nothing where it is not known."""
    return "" if value is None else f"{float(str(value)):g}" if float(str(value)) % 1 else int(float(str(value)))


def _dumps(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=indent)


# -- HDF5 --------------------------------------------------------------------------------------------------------------
@contextmanager
def _file(path: Path) -> Iterator[h5py.File]:
    import h5py

    with h5py.File(path, "w", libver=("earliest", "v108"), track_order=False) as file:
        yield file


def _fill(file: h5py.File, name: str, rows: int, blocks: Iterator[np.ndarray]) -> None:
    """A data set of `rows` rows from blocks in order."""
    at, data = 0, None
    for block in blocks:
        if data is None:
            data = file.create_dataset(
                name,
                (rows, *block.shape[1:]),
                block.dtype,
                chunks=(min(rows, _chunk(block)), *block.shape[1:]),
                compression="gzip",
                compression_opts=1,
                track_times=False,
            )
        data[at : at + len(block)] = block
        at += len(block)


def _chunk(block: np.ndarray) -> int:
    """Rows of a chunk of about 1 MiB."""
    return max(1, min(BLOCK, (1 << 20) // max(1, block[:1].nbytes)))


def _blocks(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """Rows in blocks; of features there may be megabytes in each, so the blocks are small."""
    for start in range(0, len(samples), BLOCK // 16):
        yield samples[start : start + BLOCK // 16]
