"""k-means beside faiss and scikit-learn: inertia, time and memory; and selection batch by batch beside from scratch.

    .venv/bin/python tests/bench/kmeans.py [--rows 1000000] [--threads 2] [--stream] [--quick] [--json]

Four cases (32 and 1,024 clusters, 128 and 512 dimensions) of vectors of 400 unequal kinds, elongated and noisy. In the
same run, on the same rows: faiss on all rows (25 iterations, its default), faiss with its default subsampling (256 rows
a cluster), scikit-learn's MiniBatchKMeans, each with as many threads as serve it best (faiss with two can take four
times as long as with one): tried on an eighth of the rows, `_threads` says how many. Inertia is evaluated by faiss in
all cases. A ratio below 1 is ours being lower or faster; `cpu` is processor time, which other work on the machine
distorts less than seconds. `lloyd` is Lloyd's algorithm on all rows from k-means++ starts of its own until nothing
moves, 300 iterations at most (scikit-learn, tol 0): the mean over three starts of few clusters, whose ends differ by a
thousandth, and one of many; with 1,024 clusters that is some 2,000 processor seconds. With --stream, 10 million rows of
128 half floats (2.5 GB; --stream-rows) are written to Parquet in a temporary folder and clustered from there, and
`memory_mb` is what that takes at its peak.

The last figure: three batches of clips selected one after the other, and all at once, on noisy synthetic clusters.

Exit status 1 when a limit below is passed: our inertia over faiss's on all rows, or over Lloyd's, above INERTIA; our
processor time over faiss's on all rows above ROOM (with --quick, where the rows are few, QUICK_ROOM); the memory of
--stream above COPIES of the sample and BESIDES, however many rows; the two selections' information apart by DIFFERENCE.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.cluster import KMeans, MiniBatchKMeans
from threadpoolctl import threadpool_limits

from tests.bench.figures import show
from tests.bench.selection import forget_peak, memory
from winnow.fitting.candidates import Candidates
from winnow.fitting.select import SelectParams, rounds
from winnow.selection import mutual_information, pairing
from winnow.selection.kmeans.centroids import ID, KMeansParams, fit_layers

KINDS, BLOCK = 400, 65536
INERTIA, DIFFERENCE = 1.002, 0.01
#: No more time than faiss, but for the noise of two measurements; of 40,000 rows most time is what does not grow with
#: them.
ROOM, QUICK_ROOM = 1.1, 10
#: Peak memory of a stream: so many times the sample as float32, and besides, for blocks and threads, bytes.
COPIES, BESIDES = 4, 150e6
#: Full Lloyd's runs together have so many clusters at least.
LLOYD_CLUSTERS = 96


class Kinds:
    """A source of vectors: kinds of unequal size, elongated along 16 directions, noisy."""

    def __init__(self, dim: int, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, dim])
        share = rng.random(KINDS) ** 2
        self.share, self.dim, self.seed = share / share.sum(), dim, seed
        self.centres = rng.standard_normal((KINDS, dim), dtype=np.float32)
        self.basis = rng.standard_normal((16, dim), dtype=np.float32) / 2

    def block(self, number: int, rows: int = BLOCK) -> np.ndarray:
        """Block `number` of the source: float32 (rows, dim)."""
        rng = np.random.default_rng([self.seed, self.dim, number])
        out = self.centres[rng.choice(KINDS, rows, p=self.share)]
        out += rng.standard_normal((rows, 16), dtype=np.float32) @ self.basis
        out += 0.7 * rng.standard_normal((rows, self.dim), dtype=np.float32)
        return out


def timed(call: Callable[[], object]) -> tuple[object, float, float]:
    """What a call returns, and its seconds and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    return found, round(time.perf_counter() - wall, 2), round(time.process_time() - cpu, 2)


def inertia(rows: np.ndarray, centres: np.ndarray) -> float:
    """Sum of squared distances to the nearest centre."""
    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(np.ascontiguousarray(centres, np.float32))
    return float(index.search(rows, 1)[0].astype(np.float64).sum())


def ours(rows: np.ndarray, clusters: int, threads: int) -> np.ndarray:
    """Centres by `fit_layers`, in the space of the rows."""
    ids = np.arange(len(rows), dtype=np.uint64)

    def blocks() -> Iterator[dict[str, np.ndarray]]:
        for first in range(0, len(rows), BLOCK):
            yield {ID: ids[first : first + BLOCK], "x": rows[first : first + BLOCK]}

    layer = fit_layers(blocks, KMeansParams(clusters=clusters), threads=threads).layers["x"]
    return layer.centres / layer.frame.factor + layer.frame.centre


def by_faiss(rows: np.ndarray, clusters: int, **more: object) -> np.ndarray:
    """Centres by faiss.Kmeans."""
    found = faiss.Kmeans(rows.shape[1], clusters, seed=1, **more)
    found.train(rows)
    return found.centroids


def by_scikit_learn(rows: np.ndarray, clusters: int) -> np.ndarray:
    """Centres by MiniBatchKMeans."""
    return MiniBatchKMeans(clusters, n_init=1, random_state=1).fit(rows).cluster_centers_


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Every library with so many threads."""
    with threadpool_limits(threads):
        faiss.omp_set_num_threads(threads)
        yield


def fastest(call: Callable[[np.ndarray], object], rows: np.ndarray, threads: int) -> int:
    """With how many threads, one or all, a reference takes less time on an eighth of the rows."""
    spent = {}
    for count in {1, threads}:
        with limited(count):
            spent[count] = timed(lambda: call(rows[: len(rows) // 8]))[1]
    return min(spent, key=lambda count: (spent[count], count))


def case(rows: np.ndarray, clusters: int, threads: int) -> dict[str, object]:
    """All figures of one case."""
    centres, seconds, cpu = timed(lambda: ours(rows, clusters, threads))
    own = inertia(rows, centres)
    figure: dict[str, object] = {
        "bench": "kmeans",
        "rows": len(rows),
        "dim": rows.shape[1],
        "clusters": clusters,
        "threads": threads,
        "inertia": round(own, 1),
        "s": seconds,
        "cpu_s": cpu,
    }
    references: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "faiss_all": lambda some: by_faiss(some, clusters, max_points_per_centroid=len(rows)),
        "faiss_sub": lambda some: by_faiss(some, clusters),
        "minibatch": lambda some: by_scikit_learn(some, clusters),
    }
    for name, call in references.items():
        count = fastest(call, rows, threads)
        with limited(count):
            found, wall, spent = timed(lambda call=call: call(rows))
        figure |= {
            f"{name}_threads": count,
            f"{name}_s": wall,
            f"{name}_cpu_s": spent,
            f"inertia_to_{name}": round(own / inertia(rows, found), 5),
            f"time_to_{name}": round(seconds / wall, 3),
            f"cpu_to_{name}": round(cpu / max(spent, 1e-3), 3),
        }
    starts = range(-(-LLOYD_CLUSTERS // clusters))
    runs = [KMeans(clusters, n_init=1, tol=0, max_iter=300, random_state=start).fit(rows) for start in starts]
    lowest = [inertia(rows, run.cluster_centers_) for run in runs]
    figure |= {
        "lloyd_starts": len(runs),
        "lloyd_iterations": max(run.n_iter_ for run in runs),
        "inertia_to_lloyd": round(own / float(np.mean(lowest)), 5),
        "inertia_to_best_lloyd": round(own / min(lowest), 5),
    }
    return figure


def streamed(rows: int, clusters: int, threads: int) -> dict[str, object]:
    """Rows of 128 half floats written to Parquet, and clustered from there."""
    source = Kinds(128)
    schema = pa.schema([("id", pa.uint64()), ("x", pa.list_(pa.float16(), 128))])
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as folder:
        path = Path(folder) / "vectors.parquet"
        with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
            for number, first in enumerate(range(0, rows, BLOCK)):
                count = min(BLOCK, rows - first)
                flat = pa.array(source.block(number, count).astype(np.float16).ravel())
                ids = pa.array(np.arange(first, first + count, dtype=np.uint64))
                writer.write_table(pa.table([ids, pa.FixedSizeListArray.from_arrays(flat, 128)], schema=schema))
        size = path.stat().st_size

        def blocks() -> Iterator[dict[str, np.ndarray]]:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, use_threads=False)
                    flat = table["x"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
                    yield {ID: table["id"].to_numpy(), "x": flat.reshape(-1, 128)}

        params = KMeansParams(clusters=clusters)
        forget_peak()
        before = memory("VmRSS")
        found, seconds, cpu = timed(lambda: fit_layers(blocks, params, threads=threads))
        taken = memory("VmHWM") - before
    figures = found.layers["x"].figures
    return {
        "bench": "kmeans stream",
        "rows": rows,
        "dim": 128,
        "clusters": clusters,
        "file_gb": round(size / 1e9, 2),
        "s": seconds,
        "cpu_s": cpu,
        "passes": figures["passes"] + 1,
        "inertia_a_row": round(figures["inertia"] / rows, 4),
        "memory_mb": round(taken / 1e6),
        "limit_mb": round((COPIES * params.sample_rows * 128 * 4 + BESIDES) / 1e6),
    }


def incremental(clips: int, clusters: int = 32) -> dict[str, object]:
    """Three batches selected one after the other and all at once: information of 20 % of the clips, nats."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, clusters, clips)
    sides = [np.where(rng.random(clips) < 0.4, rng.integers(0, clusters, clips), kind) for _ in range(10)]
    mixed = rng.random(clips) < 0.5
    sides[5:] = [np.where(mixed, rng.permutation(side), side) for side in sides[5:]]
    matrix, ids = np.stack(sides, axis=1).astype(np.int32), np.array([f"{i:020x}" for i in range(clips)])
    pairs, weights, params = pairing("bipartite", 5, 5), np.ones(25), SelectParams(among="admitted")

    def batches() -> pa.Table:
        rows = None
        for end in (clips // 3, 2 * clips // 3, clips):
            rows, _ = rounds(Candidates(ids[:end], matrix[:end], 5, "m"), pairs, weights, params, rows)
        return rows

    def information(rows: pa.Table) -> float:
        chosen = rows.filter(rows["position"].is_valid())["sample_id"].to_pylist()
        return mutual_information(matrix, pairs, np.searchsorted(ids, chosen))

    step, step_s, _ = timed(batches)
    whole, whole_s, _ = timed(lambda: rounds(Candidates(ids, matrix, 5, "m"), pairs, weights, params, None)[0])
    mi, scratch = information(step), information(whole)
    return {
        "bench": "select incremental",
        "clips": clips,
        "mi_incremental": round(mi, 6),
        "mi_from_scratch": round(scratch, 6),
        "difference": round((scratch - mi) / scratch, 6),
        "mi_all": round(mutual_information(matrix, pairs), 6),
        "incremental_s": step_s,
        "from_scratch_s": whole_s,
    }


def main() -> int:
    """Run, print, and say whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="vectors of 128 dimensions; a quarter of 512")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clusters", default="32,1024", help="comma-separated")
    parser.add_argument("--dims", default="128,512", help="comma-separated")
    parser.add_argument("--stream", action="store_true", help="only: cluster a file of --stream-rows rows")
    parser.add_argument("--stream-rows", type=int, default=10_000_000)
    parser.add_argument("--quick", action="store_true", help="small cases, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    clusters, dims = ([int(part) for part in text.split(",")] for text in (options.clusters, options.dims))
    ours(Kinds(8).block(0, 3000), 200, options.threads)  # compile
    if options.stream:
        found = [streamed(options.stream_rows, k, options.threads) for k in clusters]
        for figure in found:
            show(figure, options.json)
        return int(any(figure["memory_mb"] > figure["limit_mb"] for figure in found))
    rows = options.rows
    if options.quick:
        clusters, dims, rows = [32, 256], [64], 40_000
    bad = False
    for dim in dims:
        count = rows if dim <= 128 else rows // 4
        source = Kinds(dim)
        data = np.concatenate([source.block(i, min(BLOCK, count - at)) for i, at in enumerate(range(0, count, BLOCK))])
        for k in clusters:
            with limited(options.threads):
                figure = case(data, k, options.threads)
            show(figure, options.json)
            bad |= max(figure["inertia_to_faiss_all"], figure["inertia_to_lloyd"]) > INERTIA
            bad |= figure["cpu_to_faiss_all"] > (QUICK_ROOM if options.quick else ROOM)
    figure = incremental(9_000 if options.quick else 90_000)
    show(figure, options.json)
    return int(bad or abs(figure["difference"]) >= DIFFERENCE)


if __name__ == "__main__":
    sys.exit(main())
