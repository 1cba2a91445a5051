"""The clips that stand for selection: each once, by the clusters that the stage `cluster` gave it under the current
centres. A batch that is assigned to other centres is refused: its ids would mean something else.

There may be a hundred million, so clips are held as fixed-width bytes and clusters in the smallest integers: 30 bytes a
clip of ten layers, and no Python object.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow.core.errors import ContractError
from winnow.core.frozen_model import FrozenModel
from winnow.core.lake import Lake
from winnow.core.sample import ID_CHARS
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs, stage_optional_needs
from winnow.fitting.cluster import MODEL

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Which clips stand for selection: those that the current release keeps, or all of the admitted batches.
AMONG = ("kept", "admitted")
#: The type of ids in memory.
ID = f"S{ID_CHARS}"


@dataclass(frozen=True)
class Candidates:
    """Clips by id, ordered, S20 (n,); their clusters, unsigned (n, layers), the visual layers first; and of which
    centres."""

    ids: np.ndarray
    clusters: np.ndarray
    n_visual: int
    model: str

    def __len__(self) -> int:
        return len(self.ids)

    def places(self, ids: pa.ChunkedArray) -> np.ndarray:
        """Where clips stand among these, int64; -1 for one that does not."""
        import numpy as np

        wanted = fixed(ids).astype(self.ids.dtype, copy=False)
        found = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        return np.where(self.ids[found] == wanted, found, -1)


def candidates(lake: Lake, batches: Sequence[str], among: str = "kept") -> Candidates:
    """The clips of batches that stand for selection, with their clusters under the current centres.

    ContractError names the command for a batch that is not assigned to them.
    """
    import numpy as np

    model = lake.model_current(MODEL)
    if model is None:
        raise ContractError("the lake has no centres: run `winnow cluster`, then `winnow run cluster` on every batch")
    card = FrozenModel(MODEL).card(lake, model)
    widths = {side: len(layers) for side, layers in card["layers"].items()}
    kind = np.min_scalar_type(card["clusters"] - 1)
    kept = _kept(lake) if among == "kept" else None
    ids, clusters = [], []
    for batch in batches:
        for table in _assigned(lake, batch, model):
            ids.append(fixed(table["sample_id"]))
            sides = [_lists(table, f"{side}_clusters", widths[side]) for side in ("visual", "audio")]
            clusters.append(np.concatenate(sides, axis=1, dtype=kind, casting="unsafe"))
    every = np.concatenate([np.empty(0, ID), *ids])
    unique, first = np.unique(every, return_index=True)
    stands = np.ones(len(unique), bool) if kept is None else np.isin(unique, kept)
    matrix = np.concatenate(clusters)[first[stands]] if clusters else np.empty((0, sum(widths.values())), kind)
    if not len(matrix):
        what = "that the current release keeps " if among == "kept" else ""
        raise ContractError(f"{', '.join(batches)}: no clip {what}is assigned to clusters; nothing to select from")
    return Candidates(unique[stands], matrix, widths["visual"], model)


def fixed(ids: pa.ChunkedArray) -> np.ndarray:
    """Clips' ids as fixed-width bytes, S20 (n,)."""
    import numpy as np
    import pyarrow as pa

    parts = ids.cast(pa.binary()).cast(pa.binary(ID_CHARS)).chunks
    whole = [np.frombuffer(part.buffers()[1], ID, len(part), part.offset * ID_CHARS) for part in parts if len(part)]
    return np.concatenate([np.empty(0, ID), *whole])


def _assigned(lake: Lake, batch: str, model: str) -> Iterator[pa.Table]:
    """The assigned rows of a batch's shards, all of one model."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    lineage = Lineage(lake, batch, stage_needs(), stage_optional_needs())
    again = f"run `winnow run cluster --batch {batch}`, then select again"
    for number in lineage.numbers(MODEL):
        manifest = lineage.committed(MODEL, number)
        if manifest is None:
            raise ContractError(f"shard {number} of batch {batch} is not assigned to clusters: {again}")
        if manifest.model != model:
            raise ContractError(
                f"batch {batch} is assigned to the centres {manifest.model}, the current ones are {model}, and ids of "
                f"two clusterings cannot be compared: {again}"
            )
        rows = pq.read_table(io.BytesIO(lake.read_table(manifest)))
        yield rows.filter(pc.equal(rows["outcome"], "ok"))


def _lists(table: pa.Table, column: str, width: int) -> np.ndarray:
    flat = table[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    if len(flat) != width * table.num_rows:
        raise ContractError(f"cluster: {column} does not have {width} values in every row")
    return flat.reshape(-1, width)


def _kept(lake: Lake) -> np.ndarray:
    """Ids of the clips that the current release keeps."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from winnow.release import publish

    clips = publish.folder(lake, None, ("tables/fct_clips.parquet",)) / "tables" / "fct_clips.parquet"
    rows = pq.read_table(clips, columns=["sample_id", "status"])
    return fixed(rows.filter(pc.equal(rows["status"], "kept"))["sample_id"])
