"""A model's answers for examples, and how they are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn

from winnow.train.config import TrainConfig
from winnow.train.loader import Vectors
from winnow.train.prepare import Prepared
from winnow.train.record import write
from winnow.train.sets import Examples


def answers(
    module: ModuleType,
    model: nn.Module,
    prepared: Prepared,
    rows: np.ndarray,
    config: TrainConfig,
    device: torch.device,
) -> dict[str, np.ndarray]:
    """A model's answers for examples, in their order; no dropout, no gradient."""
    model.eval()
    parts: list[dict[str, np.ndarray]] = []
    kind = torch.float64 if config.precision == "fp64" else None
    with torch.inference_mode():
        for at in range(0, len(rows), config.batch):
            parts.append({})
            for given in _views(prepared.joined.vectors, prepared.joined.places[rows[at : at + config.batch]]):
                out = module.answers(model({n: torch.from_numpy(a).to(device, kind) for n, a in given.items()}))
                parts[-1] = {name: parts[-1].get(name, 0) + values for name, values in out.items()}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _views(vectors: Vectors, places: np.ndarray) -> Iterator[Mapping[str, np.ndarray]]:
    """What a batch is answered from: rows of a store, or several windows of each clip, whose answers are added up."""
    if hasattr(vectors, "views"):
        yield from vectors.views(places)
    else:
        yield vectors.take(places)


def keep(
    folder: Path,
    module: ModuleType,
    config: TrainConfig,
    examples: Examples,
    found: Mapping[str, np.ndarray],
    split: str,
) -> dict:
    """Write predictions, values by example and metrics of a split; the metrics."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if hasattr(module, "calibrated"):
        found = {**found, **module.calibrated(folder, split)}
    said = module.score(config, found, examples)
    pq.write_table(module.table(found, examples), folder / f"predictions-{split}.parquet", compression="zstd")
    value, chance = module.each(config, found, examples)
    each = pa.table({"sample_id": pa.array(examples.id.tolist(), pa.string()), "value": value, "chance": chance})
    each = each.filter(pc.is_finite(each["value"]))  # of some examples a task has no figure
    pq.write_table(each, folder / f"values-{split}.parquet", compression="zstd")
    write(folder / f"metrics-{split}.json", (json.dumps(said, indent=1, sort_keys=True) + "\n").encode())
    return said
