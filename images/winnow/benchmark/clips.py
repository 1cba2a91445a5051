"""Clips of a lake as a data set: their built-in feature layers, and the label of their release as their class."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from winnow.benchmark.datasets import Dataset
from winnow.core.errors import ContractError
from winnow.core.lake import Lake
from winnow.models.layers import AUDIO_LAYERS, VISUAL_LAYERS, Layer

#: Fewer clips of a class than this: the class is left out.
FEWEST = 4


def from_release(lake: Lake, release: str | None = None) -> Dataset:
    """Clips that a release keeps, by their label. ContractError when too few of them are labelled and measured."""
    import pyarrow.parquet as pq

    from winnow.release import publish

    folder = publish.folder(lake, release, ("tables/fct_clips.parquet",))
    rows = pq.read_table(folder / "tables" / "fct_clips.parquet", columns=["sample_id", "batch", "label", "status"])
    labels = {
        row["sample_id"]: row["label"]
        for row in rows.to_pylist()
        if row["status"] == "kept" and row["label"] not in (None, "", "unlabelled")
    }
    batches = sorted(set(rows["batch"].to_pylist()) - {None})
    return from_labels(lake, batches, labels, f"kept and labelled clips of release {folder.name}")


def from_labels(lake: Lake, batches: Sequence[str], labels: Mapping[str, str], says: str) -> Dataset:
    """Measured clips of batches that have a label, in the order of their ids; each feature is divided by its standard
    deviation. labels: class by sample_id. ContractError when fewer than four classes have FEWEST clips."""
    seen, heard = _measured(lake, batches, "visual", VISUAL_LAYERS), _measured(lake, batches, "audio", AUDIO_LAYERS)
    ids = sorted(seen.keys() & heard.keys() & labels.keys())
    counts = Counter(labels[i] for i in ids)
    ids = [i for i in ids if counts[labels[i]] >= FEWEST]
    names = sorted({labels[i] for i in ids})
    if len(names) < 4:
        raise ContractError(
            f"{lake.root}: {len(names)} classes have {FEWEST} measured, labelled clips, and the benchmark needs 4: "
            "curate and release batches whose lists have labels"
        )
    classes = np.array([names.index(labels[i]) for i in ids])
    sides = []
    for rows, layers in ((seen, VISUAL_LAYERS), (heard, AUDIO_LAYERS)):
        joined = np.stack([rows[i] for i in ids])
        spread = joined.std(axis=0)
        white = (joined / np.where(spread > 1e-6, spread, 1)).astype(np.float32)
        sides.append(np.split(white, np.cumsum([layer.dim for layer in layers])[:-1], axis=1))
    return Dataset("clips", sides[0], sides[1], classes, classes, f"{len(ids)} {says}, {len(names)} classes")


def _measured(lake: Lake, batches: Sequence[str], stage: str, layers: Sequence[Layer]) -> dict[str, np.ndarray]:
    """The layers of every clip that a stage measured, end to end, by sample_id."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from winnow.core.shard import Lineage
    from winnow.core.stage import stage_needs

    columns = [layer.column for layer in layers]
    found: dict[str, np.ndarray] = {}
    for batch in batches:
        lineage = Lineage(lake, batch, stage_needs())
        for number in lineage.numbers(stage):
            manifest = lineage.committed(stage, number)
            if manifest is None:
                continue
            rows = pq.read_table(io.BytesIO(lake.read_table(manifest)), columns=["sample_id", "outcome", *columns])
            rows = rows.filter(pc.equal(rows["outcome"], "ok")).combine_chunks()
            parts = [np.array(rows[name].to_pylist(), np.float32).reshape(rows.num_rows, -1) for name in columns]
            values = np.concatenate(parts, axis=1)
            found.update(zip(rows["sample_id"].to_pylist(), values, strict=True))
    return found
