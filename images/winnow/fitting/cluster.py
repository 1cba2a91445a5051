"""`winnow cluster`: fit k-means centres of every feature layer on named or all admitted batches, and freeze them.

The digest of a set of centres is that of what it is made from: the clips' vectors (by content, in whatever shards and
order they lie), the layers, the parameters, and the code that fits. The same corpus is never clustered twice. Fitting
changes no assignment that exists; it moves `current`, and the next run of the stage `cluster` assigns anew. A full
refit is another `winnow cluster`; a selection that is to be continued needs the centres that it was made with (`keep`).

Vectors are read shard by shard, as often as k-means passes over them; what stays in memory is its sample, its centres
and 8 bytes a clip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from winnow.core.admitted import admitted_with
from winnow.core.errors import ContractError
from winnow.core.fingerprint import code_digest
from winnow.core.frozen_model import FrozenModel
from winnow.core.lake import Lake
from winnow.core.manifest import Manifest
from winnow.core.sample import check_batch
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs, stage_optional_needs

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from winnow.selection.kmeans.centroids import KMeansParams

MODEL = "cluster"
#: Rows of a block of the stream, about.
BLOCK_ROWS = 16384
HASH_BITS = 256


def cluster(
    lake: Lake,
    settings: Settings,
    batches: Sequence[str] = (),
    *,
    visual: Sequence[str] = ("visual",),
    audio: Sequence[str] = ("audio",),
    params: KMeansParams | None = None,
    dry_run: bool = False,
    keep: bool = False,
) -> dict[str, object]:
    """Fit on the clips of batches (all admitted ones when none is named) that have every layer; make the centres the
    current ones. visual, audio: stages or layers, see `winnow.selection.kmeans.layers`. With `keep`, the centres that
    are there stay as they are, whatever clips and parameters they come from, so that a selection can be continued; only
    where there are none are they fitted.

    Returns {"model", "computed" (False when these very centres were there), "batches", "clips", "left_out" (clips that
    lack a layer), "layers", "clusters", "inertia"}; of centres that are kept only {"model", "computed", "batches",
    "layers"}; with `dry_run` {"batches", "layers"}, and "empty" where no batch is admitted. ContractError for a batch
    that is not measured and for kept centres of other layers, ConfigError for layers and parameters.
    """
    from winnow.selection.kmeans.centroids import KMeansParams, fit_layers
    from winnow.selection.kmeans.layers import chosen

    params = params or KMeansParams()
    sides = {"visual": chosen("visual", visual), "audio": chosen("audio", audio)}
    keys = sorted({check_batch(key) for key in batches}) or admitted_with(lake, "clip", or_none=dry_run)
    answer: dict[str, object] = {"batches": keys, "layers": sides}
    if dry_run:
        return answer if keys else answer | {"empty": True}
    frozen = FrozenModel(MODEL, command=f"winnow cluster --batches {','.join(keys)}")
    since = lake.model_pointer(MODEL)
    if keep and (card := frozen.current_card(lake)) is not None:
        current = card["model"]
        if card["layers"] != {side: list(layers) for side, layers in sides.items()}:
            raise ContractError(
                f"the centres that are there, {current}, are of other layers ({card['layers']}): run `winnow cluster` "
                "without --keep, then `winnow select` from scratch"
            )
        return answer | {"model": current, "computed": False}
    corpus = Vectors(lake, keys, [*sides["visual"], *sides["audio"]])
    content = corpus.content()
    if not corpus.clips:
        raise ContractError(f"{', '.join(keys)}: no clip has all of {', '.join(corpus.layers)}; nothing to cluster")
    identity = {
        "code": code_digest(KMeansParams.__module__),
        "content": content,
        "layers": sides,
        "features": corpus.features,
        "params": asdict(params),
    }
    model, known = frozen.reuse(lake, identity, since)
    answer |= {"model": model, "clips": corpus.clips, "left_out": corpus.left_out, "clusters": params.clusters}
    if known is not None:
        inertia = {name: layer["inertia"] for name, layer in known["figures"].items()}
        return answer | {"computed": False, "inertia": inertia}
    centroids = fit_layers(corpus.blocks, params, threads=settings.threads)
    figures = {name: dict(layer.figures) for name, layer in centroids.layers.items()}
    card = answer | {"features": corpus.features, "figures": figures}
    frozen.freeze(lake, model, identity, centroids.dumps(), card, since)
    return answer | {"computed": True, "inertia": {name: layer["inertia"] for name, layer in figures.items()}}


class Vectors:
    """The clips of batches that have every layer, as a stream that can be read again; a clip counts once. features: the
    fingerprint of each stage's tables, one for all batches (ContractError for more).

    `content` must be called first: it reads everything, and finds out what there is.
    """

    def __init__(self, lake: Lake, batches: Sequence[str], layers: Sequence[str]) -> None:
        from winnow.selection.kmeans.layers import by_stage

        self.lake, self.layers, self.columns = lake, list(layers), by_stage(layers)
        self.clips = self.left_out = 0
        self._shards = [shard for batch in batches for shard in self._inputs(batch)]
        self.features = {stage: self._version(stage) for stage in self.columns}

    def _inputs(self, batch: str) -> Iterator[dict[str, Manifest]]:
        lineage = Lineage(self.lake, batch, stage_needs(), stage_optional_needs())
        numbers = lineage.numbers(MODEL)
        if not numbers:
            raise ContractError(
                f"batch {batch} has no shards to cluster: run `winnow plan --batch {batch}` and the stages after it"
            )
        for number in numbers:
            inputs = lineage.require_inputs(MODEL, number)
            for stage in self.columns:
                if stage not in inputs:
                    raise ContractError(
                        f"shard {number} of batch {batch} has no {stage}: run `winnow run {stage} --batch {batch}`"
                    )
            yield {stage: inputs[stage] for stage in ("clip", *self.columns)}

    def _version(self, stage: str) -> str:
        """The fingerprint that all of a stage's tables have: its code, parameters and checkpoint."""
        batches: dict[str, list[str]] = {}
        for shard in self._shards:
            batches.setdefault(shard[stage].fingerprint, []).append(shard[stage].batch)
        if len(batches) > 1:
            said = "; ".join(
                f"v={fingerprint}: {', '.join(sorted(set(keys)))}" for fingerprint, keys in sorted(batches.items())
            )
            raise ContractError(
                f"{stage} of these batches comes from {len(batches)} versions ({said}), whose vectors cannot be "
                f"compared: run `winnow run {stage} --batch KEY` with the same parameters on all of them"
            )
        return next(iter(batches))

    def content(self) -> str:
        """Digest of the clips and their vectors, the same in whatever order and shards they come: the sum of each
        clip's SHA-256. Fills `clips` and `left_out`."""
        total, self.clips, self.left_out = 0, 0, 0
        for ids, layers in self._rows(count=True):
            self.clips += len(ids)
            matrix = [array.astype("<f4") for array in layers.values()]
            for row, clip in enumerate(ids):
                hashed = hashlib.sha256(clip.encode())
                for array in matrix:
                    hashed.update(array[row].tobytes())
                total += int.from_bytes(hashed.digest(), "big")
        return f"{total % (1 << HASH_BITS):064x}"

    def blocks(self) -> Iterator[dict[str, np.ndarray]]:
        """The stream, as `selection.kmeans.fit_layers` reads it."""
        import numpy as np

        from winnow.selection.kmeans.centroids import ID

        held: list[dict[str, np.ndarray]] = []
        for ids, layers in self._rows():
            held.append({ID: np.array([number_of(clip) for clip in ids], np.uint64), **layers})
            if sum(len(block[ID]) for block in held) >= BLOCK_ROWS:
                yield {name: np.concatenate([block[name] for block in held]) for name in held[0]}
                held = []
        if held:
            yield {name: np.concatenate([block[name] for block in held]) for name in held[0]}

    def _rows(self, *, count: bool = False) -> Iterator[tuple[list[str], dict[str, np.ndarray]]]:
        """Ids and vectors by layer of every shard that has any; clips that an earlier shard had are left out."""
        import numpy as np

        seen = Seen()
        for shard in self._shards:
            clips = self._ok(shard["clip"], [])["sample_id"].to_pylist()
            new = {clip for clip in clips if seen.add(number_of(clip))}
            tables = {stage: self._ok(shard[stage], names) for stage, names in self.columns.items()}
            whole = new.intersection(*(table["sample_id"].to_pylist() for table in tables.values()))
            layers: dict[str, np.ndarray] = {}
            ids = sorted(whole)
            if not ids:
                self.left_out += len(new) if count else 0
                continue
            for stage, table in tables.items():
                place = {clip: row for row, clip in enumerate(table["sample_id"].to_pylist())}
                layers |= self._layers(stage, table.take([place[clip] for clip in ids]))
            layers = {name: layers[name] for name in self.layers}
            finite = np.logical_and.reduce([np.isfinite(array).all(axis=1) for array in layers.values()])
            if count:
                self.left_out += len(new) - int(finite.sum())
            if finite.any():
                kept = [clip for clip, good in zip(ids, finite, strict=True) if good]
                yield kept, {name: array[finite] for name, array in layers.items()}

    def _ok(self, manifest: Manifest, columns: list[str]) -> pa.Table:
        """The measured rows of a stage table: their ids and these columns."""
        from winnow.core.table import ok_rows

        return ok_rows(self.lake.read_table(manifest), columns)

    def _layers(self, stage: str, rows: pa.Table) -> dict[str, np.ndarray]:
        from winnow.selection.kmeans.layers import vectors

        return {f"{stage}.{name}": vectors(rows[name], f"{stage}.{name}") for name in self.columns[stage]}


class Seen:
    """Numbers that have been met, 8 bytes each but for the last RECENT."""

    RECENT = 1 << 20

    def __init__(self) -> None:
        import numpy as np

        self._sorted, self._recent = np.empty(0, np.uint64), set[int]()

    def add(self, number: int) -> bool:
        """Whether a number is new; from now on it is not."""
        import numpy as np

        place = int(np.searchsorted(self._sorted, np.uint64(number)))
        if number in self._recent or (place < len(self._sorted) and int(self._sorted[place]) == number):
            return False
        self._recent.add(number)
        if len(self._recent) >= self.RECENT:
            self._sorted = np.sort(np.concatenate([self._sorted, np.array(sorted(self._recent), np.uint64)]))
            self._recent.clear()
        return True


def number_of(clip: str) -> int:
    """The first 64 bits of a clip's id."""
    return int(clip[:16], 16)
