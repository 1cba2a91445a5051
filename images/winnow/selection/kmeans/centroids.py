"""k-means of every feature layer of a corpus, read as a stream as often as it takes, in memory that does not grow with
it.

Lloyd's iterations are spent where they are cheap. One pass over the stream draws a sample by a hash of the ids; greedy
k-means++ and Lloyd's iterations run on growing parts of it (each begins where the smaller one ended); then a few passes
over the whole stream move the centres that the sample has brought near their place. All layers are clustered by the
same passes; only the sample is drawn in as many as it takes to hold no more than SAMPLE_BYTES of it, or one layer.

Centres do not depend on the order of the rows, on how they are cut into blocks and shards, or on threads: the sample is
the same set in the same order, sums are exact, and assignments are settled beyond rounding (`kmeans_kernels`).
ACAV100M clusters by mini-batch descent from random centres and k = 32 (released code, clustering); the objective is the
same.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from winnow.core.errors import ConfigError, ContractError
from winnow.selection.kmeans import kernels as kernels
from winnow.selection.kmeans.frame import Frame
from winnow.selection.kmeans.lloyd import Crew, Descent, Tally, lloyd
from winnow.selection.kmeans.start import grow, plus_plus

#: Name of the column of a block that holds the rows' ids, uint64 (n,).
ID = "id"
#: Clusters of all starts together: the more there are, the less one start differs from another.
STARTED_CLUSTERS = 512
#: Up to so many clusters, iterations on the sample cost next to nothing beside a pass.
FEW_CLUSTERS = 64
#: Layers are sampled in one pass while what is held of them, 1.5 times their sample, comes to no more bytes than this.
SAMPLE_BYTES = 1 << 30
Blocks = Callable[[], Iterator[dict[str, np.ndarray]]]


@dataclass(frozen=True)
class KMeansParams:
    """clusters: k; seed: of the sample and of the first centres; whiten: divide each dimension by its standard
    deviation (over the sample); sample: rows of it a cluster, at least 65,536 in all; starts: first centres that are
    tried on the smallest part of it, at most; tolerance: relative fall of the objective that ends the passes, and twice
    that the iterations on the sample (25 times on parts of it; where there are many clusters 20 and 40 times):
    where they end is not where the corpus ends; iterations: of a part, and passes: over the whole stream, at most
    (half of them where there are many clusters)."""

    clusters: int = 32
    seed: int = 0
    whiten: bool = False
    sample: int = 256
    starts: int = 8
    tolerance: float = 1e-5
    iterations: int = 200
    passes: int = 12

    def __post_init__(self) -> None:
        for name, least in (("clusters", 1), ("seed", 0), ("sample", 16), ("starts", 1), ("iterations", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"k-means: {name} = {getattr(self, name)}, at least {least}")
        if self.passes < 0 or not 0 < self.tolerance < 1:
            raise ConfigError("k-means: passes at least 0, tolerance between 0 and 1")

    @property
    def sample_rows(self) -> int:
        """Rows of the sample, at most."""
        return max(self.sample * self.clusters, 65536)


@dataclass(frozen=True)
class Clustering:
    """One layer's centres: float32 (k, d) in the space of `frame`; k is lower than asked for where the sample has fewer
    different rows."""

    frame: Frame
    centres: np.ndarray
    figures: Mapping[str, object] = field(default_factory=dict)

    def assign(self, rows: np.ndarray, crew: Crew | None = None) -> np.ndarray:
        """The nearest centre of each row (n, d), int32 (n,); the lowest number of equals."""
        if rows.ndim != 2 or rows.shape[1] != self.centres.shape[1]:
            raise ContractError(f"rows of shape {rows.shape}, the centres have {self.centres.shape[1]} dimensions")
        if crew is not None:
            return crew.labels(rows, self.centres, self.frame)
        with Crew(1) as alone:
            return alone.labels(rows, self.centres, self.frame)


@dataclass(frozen=True)
class Centroids:
    """Clusterings by layer."""

    layers: Mapping[str, Clustering]

    def assign(self, block: Mapping[str, np.ndarray], crew: Crew | None = None) -> dict[str, np.ndarray]:
        """Assignments of a block's rows by layer; layers that the block lacks are left out."""
        return {name: self.layers[name].assign(block[name], crew) for name in self.layers if name in block}

    def dumps(self) -> bytes:
        """An uncompressed .npz without pickles: equal centroids, equal bytes."""
        arrays: dict[str, np.ndarray] = {"names": np.frombuffer(json.dumps(list(self.layers)).encode(), np.uint8)}
        for place, layer in enumerate(self.layers.values()):
            arrays |= {
                f"{place}_centre": layer.frame.centre,
                f"{place}_factor": layer.frame.factor,
                f"{place}_step": np.array(layer.frame.step),
                f"{place}_centres": layer.centres,
            }
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        return file.getvalue()

    @classmethod
    def loads(cls, data: bytes) -> Centroids:
        """Read what `dumps` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            names = json.loads(arrays["names"].tobytes())
            return cls(
                {
                    name: Clustering(
                        Frame(arrays[f"{i}_centre"], arrays[f"{i}_factor"], float(arrays[f"{i}_step"])),
                        arrays[f"{i}_centres"],
                    )
                    for i, name in enumerate(names)
                }
            )


def fit_layers(blocks: Blocks, params: KMeansParams | None = None, *, threads: int = 1) -> Centroids:
    """Cluster every layer of a stream.

    blocks: gives the stream anew at every call, in any order and any cut: dicts of `id` (uint64 (n,), each once) and of
    one array (n, d) a layer. Its memory is a block's, the centres', and of the sample SAMPLE_BYTES, or 6 bytes a value
    of the widest layer's (of half floats; 10 of floats). Raises ContractError for a stream without rows, without ids,
    or whose layers' shapes differ from block to block; ConfigError for parameters.
    """
    params = params or KMeansParams()
    layers: dict[str, Clustering] = {}
    rows = 0
    with Crew(threads) as crew:
        for group in _groups(blocks, params):
            sample, rows = draw(blocks, params, group)
            layers |= {name: _on_sample(name, sample.pop(name), params, crew) for name in group}
        if rows > params.sample_rows:
            layers = _over_stream(blocks, layers, rows, params, crew)
    return Centroids(layers)


def _groups(blocks: Blocks, params: KMeansParams) -> list[list[str]]:
    """Layers whose samples are drawn together."""
    groups: list[list[str]] = [[]]
    held = 0
    for name, array in checked(next(iter(blocks()), {ID: np.empty(0, np.uint64)}))[1].items():
        size = _room(params) * array.shape[1] * array.itemsize
        if groups[-1] and held + size > SAMPLE_BYTES:
            groups.append([])
            held = 0
        groups[-1].append(name)
        held += size
    return groups


def _room(params: KMeansParams) -> int:
    """Rows that are held while a sample is drawn."""
    return params.sample_rows + max(params.sample_rows // 2, 1)


def draw(blocks: Blocks, params: KMeansParams, names: Sequence[str] | None = None) -> tuple[dict[str, np.ndarray], int]:
    """The sample of a stream by layer, of all or of these (its rows with the lowest hashed ids, in that order), and how
    many rows there are."""
    wanted, rows, held = params.sample_rows, 0, 0
    keys = np.empty(_room(params), np.uint64)
    room: dict[str, np.ndarray] = {}
    before: dict[str, str] = {}
    limit = np.uint64(0xFFFFFFFFFFFFFFFF)
    for block in blocks():
        ids, layers = checked(block)
        found = {name: f"{array.dtype}[{array.shape[1]}]" for name, array in layers.items()}
        before = before or found
        if found != before:
            raise ContractError(f"k-means: a block has layers {found}, those before had {before}")
        layers = {name: layers[name] for name in names or layers}
        room = room or {name: np.empty((len(keys), a.shape[1]), a.dtype) for name, a in layers.items()}
        rows += len(ids)
        drawn = kernels.keys_of(ids, np.uint64(params.seed))
        chosen = np.flatnonzero(drawn <= limit)
        while len(chosen):
            now, chosen = np.split(chosen, [len(keys) - held])
            keys[held : held + len(now)] = drawn[now]
            for name, array in layers.items():
                room[name][held : held + len(now)] = array[now]
            held += len(now)
            if held == len(keys):
                limit, held = _thin(keys, room, wanted), wanted
                chosen = chosen[drawn[chosen] <= limit]
    if not rows or not room:
        raise ContractError("k-means: the stream has no rows to cluster")
    order = np.argsort(keys[:held], kind="stable")[:wanted]
    keys = keys[order]
    if (keys[1:] == keys[:-1]).any():
        raise ContractError("k-means: an id stands more than once in the stream")
    return {name: room.pop(name)[order] for name in list(room)}, rows


def _thin(keys: np.ndarray, room: dict[str, np.ndarray], wanted: int) -> np.uint64:
    """Bring the lowest `wanted` keys and their rows to the front, in any order; the highest of them."""
    kept = np.zeros(len(keys), bool)
    kept[np.argpartition(keys, wanted - 1)[:wanted]] = True
    into, from_ = np.flatnonzero(~kept[:wanted]), wanted + np.flatnonzero(kept[wanted:])
    for array in (keys, *room.values()):
        array[into] = array[from_]
    return keys[:wanted].max()


def checked(block: Mapping[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A block's ids and layers; ContractError where they do not fit together."""
    if ID not in block or block[ID].dtype != np.uint64:
        raise ContractError(f"k-means: a block needs its rows' ids, uint64, under {ID!r}")
    layers = {name: array for name, array in block.items() if name != ID}
    for name, array in layers.items():
        if array.ndim != 2 or len(array) != len(block[ID]) or array.dtype.kind != "f":
            raise ContractError(f"k-means: layer {name} is {array.dtype} {array.shape}, wanted floats (n, d)")
    return block[ID], layers


def _on_sample(name: str, sample: np.ndarray, params: KMeansParams, crew: Crew) -> Clustering:
    """Centres of one layer's sample."""
    frame = Frame.of(sample, params.whiten)
    rows = frame.prepare(sample)
    del sample  # half of what this layer takes
    smallest = max(8 * params.clusters, 2048)
    centres, steps = np.empty((0, rows.shape[1]), np.float32), 0
    starts = max(1, min(params.starts, STARTED_CLUSTERS // params.clusters))
    rngs = [np.random.default_rng([params.seed, zlib.crc32(name.encode()), start]) for start in range(starts)]
    for size in grow(len(rows), smallest, 4):
        part = rows[:size]
        if not len(centres):
            begun = [plus_plus(part, params.clusters, rng, crew.each) for rng in rngs]
            tried = [lloyd(crew, part, first, frame.step, params.tolerance * 40, 20) for first in begun]
            centres = min(tried, key=lambda t: t[1])[0]
        loose = (2, 25) if params.clusters <= FEW_CLUSTERS else (20, 40)
        tolerance = params.tolerance * loose[size < len(rows)]
        centres, objective, more = lloyd(crew, part, centres, frame.step, tolerance, params.iterations)
        steps += more
    figures = {"dim": rows.shape[1], "clusters": len(centres), "sample": len(rows), "iterations": steps}
    return Clustering(frame, centres, figures | {"rows": len(rows), "passes": 0, "inertia": objective})


def _over_stream(
    blocks: Blocks, layers: dict[str, Clustering], rows: int, params: KMeansParams, crew: Crew
) -> dict[str, Clustering]:
    """Centres after passes over the whole stream; a layer whose objective has settled is left alone."""
    squares: dict[str, int] = {}
    descents = {name: Descent(params.tolerance, layer.centres) for name, layer in layers.items()}
    now = {name: layer.centres for name, layer in layers.items()}
    done = dict.fromkeys(layers, 0)
    many = params.clusters > FEW_CLUSTERS
    for _ in range((params.passes + 1) // 2 if many else params.passes):
        left = [name for name in layers if not descents[name].settled]
        if not left:
            break
        tallies = {name: Tally.zero(*now[name].shape) for name in left}
        for block in blocks():
            for name, tally in tallies.items():
                frame = layers[name].frame
                tally.add(crew.tally(block[name], now[name], frame, step=0.0 if name in squares else frame.step))
        for name, tally in tallies.items():
            squares.setdefault(name, tally.squares)
            objective = tally.objective(layers[name].frame.step, squares[name])
            now[name] = descents[name].step(now[name], tally.means(now[name]), objective)
            done[name] += 1
    return {
        name: Clustering(
            layer.frame,
            descents[name].best,
            {**layer.figures, "rows": rows, "passes": done[name], "inertia": descents[name].objective},
        )
        for name, layer in layers.items()
    }
