"""What a run writes while it is trained: files that are whole or not there, rows by line, and those rows as tables."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from winnow.core.errors import ConfigError
from winnow.train.runs import PROGRESS


def write(path: Path, data: bytes) -> None:
    """Replace a file in one rename, its bytes on the disk before."""
    scratch = path.with_name(f".{path.name}.new")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def whole(path: Path) -> Iterator[dict]:
    """Rows of a file of lines; a last one that was cut short is left out."""
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


def to_parquet(path: Path) -> None:
    """Write a record's whole lines beside it as Parquet, a column a term of the loss; nothing for an empty one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(whole(path)) if path.is_file() else []
    flat = [
        {**{k: v for k, v in row.items() if k != "terms"}, **{f"loss_{k}": v for k, v in row.get("terms", {}).items()}}
        for row in rows
    ]
    if flat:
        pq.write_table(pa.Table.from_pylist(flat), path.with_suffix(".parquet"), compression="zstd")


def mean_pace(pace: list[dict]) -> float | None:
    """Seconds a clip: one over the mean of the epochs' clips a second; None before the first."""
    speeds = [p["clips_per_s"] for p in pace]
    return None if not speeds else len(speeds) / sum(speeds)


def need_tensorboard() -> None:
    """ConfigError where its files cannot be written: to be asked before anything is trained."""
    if find_spec("tensorboardX") is None:
        raise ConfigError(
            "--set tensorboard=true needs tensorboardX, which is not installed: `pip install 'winnow[tensorboard]'`"
        )


def tensorboard(work: Path) -> None:
    """Loss by step as TensorBoard files."""
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(work / "tensorboard")) as writer:
        for row in whole(work / f"{PROGRESS}.jsonl"):
            writer.add_scalar("loss", row["loss"], row["step"])
            for name, value in row["terms"].items():
                if value is not None:
                    writer.add_scalar(f"loss/{name}", value, row["step"])
