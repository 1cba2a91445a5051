"""How well each method finds the true half of shuffled pairs, beside one who knows the classes.

    .venv/bin/python tests/bench/retrieval.py [--per-class 300] [--seeds 0,1,2,3,4] [--no-clips] [--quick] [--json]

The protocol of `winnow benchmark retrieval` on digits and rotated, flipped and spoken digits, and on clips of a world
whose truth is known, measured by the real stages (its planted mismatches and covered sounds are left out: they are no
pair of their class). One line a data set, variant, method and number of clusters, at the method's best pairing,
and for mutual information at the default one:

- figure: precision, mean over seeds (deviation beside it); reference: precision of one who knows both classes and which
  are kept, under the same draws; ratio: figure over reference.
- mi, mi_true: mutual information (nats) of what was selected and of the true pairs: a ratio below 1 with mi above
  mi_true is not for want of search.

Exit status 1 when, on spoken digits (rotated ones where espeak-ng is missing), the refined selection by mutual
information is below 0.95 of its reference in variant `chance`, or not above every baseline that does not train on the
pairs; and when, on a held-out set, what `winnow select` offers of it is more than 0.02 below the best greedy selection.
For that, pairing and clusters are fixed beforehand (the defaults of `winnow select` and `winnow cluster`); a baseline
may have those that serve it best.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

from threadpoolctl import threadpool_limits

from tests.bench.correspond import MATCHES, measured
from tests.world.make import make_world
from winnow.benchmark import clips, datasets, protocol, table
from winnow.benchmark.methods import METHODS, Method
from winnow.fitting.select import SelectParams
from winnow.selection.kmeans.centroids import KMeansParams

LIMIT = 0.95
AIMED, OFFERED, GREEDY = "MI refined", "MI refined, against the corpus", ("MI, exact", "MI, batch")
SPOKEN = ("digits-spoken", "digits-held-out")
#: How far below greedy selection the method that `winnow select` offers may fall on data of which nothing was chosen.
BELOW = 0.02


def world_clips(folder: Path) -> datasets.Dataset:
    """Clips of a world whose sound is their own, with the class that the truth gives their video."""
    import pyarrow.parquet as pq

    world = make_world(folder / "world")
    lake, batches, truth = measured(world, folder)
    classes = {video: row["visual_class"] for video, row in truth.items() if row["planted"] in MATCHES}
    labels = {}
    for path in (folder / "lake" / "clip").rglob("*.parquet"):
        for row in pq.read_table(path, columns=["sample_id", "video_id"]).to_pylist():
            if row["video_id"] in classes:
                labels[row["sample_id"]] = classes[row["video_id"]]
    return clips.from_labels(lake, batches, labels, "clips of a world whose sound is their own")


def loaders(options: argparse.Namespace, work: Path) -> Iterator[Callable[[], datasets.Dataset]]:
    """What to run on, each made when its turn comes."""
    for name in datasets.NAMES:
        if name in SPOKEN and not shutil.which("espeak-ng"):
            print(f"{name}: skipped, espeak-ng is not installed", file=sys.stderr)
        elif not options.quick or name == aimed_data():
            yield lambda name=name: datasets.load(name, options.per_class, work)
    if options.clips and not options.quick:
        yield lambda: world_clips(work)


def aimed_data() -> str:
    """The data set that the exit status goes by."""
    return "digits-spoken" if shutil.which("espeak-ng") else "digits-rotated"


def best_rows(rows: Sequence[table.Row]) -> Iterator[table.Row]:
    """Of every method and number of clusters the row of its best pairing, in their order; then the other rows that the
    exit status may go by."""
    best: dict[tuple[str, str, int | None], table.Row] = {}
    for row in rows:
        key = (row.variant, row.method, row.clusters)
        if row.precision is not None and (key not in best or row.precision > (best[key].precision or 0)):
            best[key] = row
    yield from best.values()
    for row in rows:
        if by_default(row) and row.method.startswith("MI") and row not in best.values():
            yield row


def holds(rows: list[table.Row]) -> bool:
    """Whether the refined selection, with the pairing and clusters that are Winnow's defaults, is near its reference
    and above every baseline with whichever serves that best; and what is offered beside greedy selection, both with the
    defaults."""
    here = [row for row in rows if (row.data, row.variant) == (aimed_data(), "chance")]
    [refined] = [row for row in here if row.method == AIMED and by_default(row)]
    others = max(row.precision or 0 for row in here if row.baseline)
    good = (refined.of_ceiling or 0) >= LIMIT and (refined.precision or 0) > others
    for key in {(row.data, row.variant) for row in rows if row.data.endswith("held-out")}:
        held = [row for row in rows if (row.data, row.variant) == key and by_default(row)]
        [offered] = [row.precision or 0 for row in held if row.method == OFFERED]
        good &= offered >= max(row.precision or 0 for row in held if row.method.startswith(GREEDY)) - BELOW
    return good


def by_default(row: table.Row) -> bool:
    """Whether a row has the pairing and the number of clusters of `winnow select` and `winnow cluster`."""
    return (row.pairing, row.clusters) == (SelectParams().pairing, KMeansParams().clusters)


def main() -> int:
    """Run, print, and say whether the aim holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2,3,4", help="runs, comma-separated")
    parser.add_argument("--per-class", type=int, default=300, help="digits of a class")
    parser.add_argument("--no-clips", dest="clips", action="store_false", help="leave the world's clips out")
    parser.add_argument("--quick", action="store_true", help="few digits, one run, no training, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    threadpool_limits(1)  # as the command line does
    seeds = [int(seed) for seed in options.seeds.split(",")]
    methods: list[Method] = list(METHODS)
    clusters, variants = [10, KMeansParams().clusters], protocol.VARIANTS
    if options.quick:
        options.per_class, seeds, clusters, variants = 60, seeds[:1], clusters[1:], ("chance",)
        methods = [m for m in methods if not m.learns and not m.name.startswith("AMI")]
    made: list[table.Row] = []
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as work:
        for load in loaders(options, Path(work)):
            rows = list(table.run(load(), methods, seeds=seeds, clusters=clusters, variants=variants))
            made += rows
            for row in best_rows(rows):
                show(row, options.json)
    return 0 if holds(made) else 1


def show(row: table.Row, as_json: bool) -> None:
    """One figure, as an object or as a line."""
    figure = {
        "bench": "retrieval",
        "data": row.data,
        "variant": row.variant,
        "method": row.method,
        "pairing": row.pairing,
        "clusters": row.clusters,
        "figure": row.precision,
        "deviation": row.deviation,
        "reference": row.ceiling,
        "ratio": row.of_ceiling,
        "mi": row.mi,
        "mi_true": row.mi_true,
    }
    if as_json:
        print(json.dumps(figure), flush=True)
    else:
        print("  ".join(f"{key} {value}" for key, value in figure.items() if value not in (None, "")), flush=True)


if __name__ == "__main__":
    sys.exit(main())
