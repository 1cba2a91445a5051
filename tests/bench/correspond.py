"""How well the fitted scorer tells planted mismatches from matches, on worlds whose truth is known.

    .venv/bin/python tests/bench/correspond.py [--seeds 0,1,2,3,4] [--videos 96] [--quick] [--json]

For each seed a world is made, its three batches are cut and measured by the real stages, `winnow fit` fits a scorer
on all three without ever reading the truth, and `correspond` scores every clip. Then the truth says which clips have
the sound of another class (planted: mismatch) and which their own. Figures per seed:

- auc, auc_score: area under the ROC curve of z (what the release rule looks at) and of the score.
- auc_reference: of plain canonical correlation on the same layers and folds: PCA (32), CCA (10), cosine of the
  variates.
- kept, let_through: shares of matches and of planted mismatches with z at or above 1.645.
- false_accept, false_accept_other: share of held-out pairs of two videos with z at or above 1.645: of all of them,
  and of
  those whose classes differ (one in ten pairs shows and sounds the same class by chance: no mismatch).

Exit status 1 when the mean AUC is below its limit.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import numpy as np
import pyarrow.parquet as pq
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tests.bench.figures import show
from tests.bench.media import cut_plan, run_stage
from tests.world.make import World, make_world
from tests.world.plan import DEFAULT_VIDEOS
from winnow.core.lake import Lake
from winnow.core.sample import sid
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs
from winnow.fitting.fit import fit, read_corpus
from winnow.models.correspondence import Scorer
from winnow.models.correspondence_fit import Corpus, held_out_pairs

LIMIT, QUICK_LIMIT = 0.95, 0.7
THRESHOLD = 1.645
#: Videos whose sound is their own and uncovered; what else is planted (voice-over, music, silence …) is neither.
MATCHES = (None, "same_uploader", "redirect", "near_duplicate")


def measured(world: World, folder: Path) -> tuple[Lake, list[str], dict[str, dict]]:
    """A lake with every batch of a world cut and measured; the batches; the truth by video id."""
    lake = Lake(folder / "lake")
    settings = Settings(lake=lake.root, inbox=world.root)
    truth = [row for row in world.truth() if row["file"]]
    batches = sorted({row["batch"] for row in truth})
    for batch in batches:
        cut_plan(lake, [f"inbox:{row['file']}" for row in truth if row["batch"] == batch], batch)
        for stage in ("fetch", "clip", "visual", "audio"):
            run_stage(lake, settings, stage, batch)
    return lake, batches, {sid("video", f"inbox:{row['file']}"): row for row in truth}


def scores(lake: Lake, batches: list[str]) -> list[dict]:
    """Rows of `correspond`, in the order of their ids."""
    settings, rows = Settings(lake=lake.root), []
    for batch in batches:
        run_stage(lake, settings, "correspond", batch)
        lineage = Lineage(lake, batch, stage_needs())
        for number in lineage.numbers("correspond"):
            manifest = lineage.committed("correspond", number)
            assert manifest is not None
            rows += pq.read_table(io.BytesIO(lake.read_table(manifest))).to_pylist()
    return sorted((row for row in rows if row["outcome"] == "ok"), key=lambda row: row["sample_id"])


def reference(corpus: Corpus, scorer: Scorer) -> np.ndarray:
    """Cosine of plain CCA variates of every clip's own pair, fitted on the videos of the other folds."""
    _, fold = scorer.known.places(corpus.video, corpus.picture, corpus.sound)
    cosine = np.zeros(len(corpus))
    for k in range(len(scorer.folds)):
        fitted, held = fold != k, fold == k
        sides = []
        for side in (corpus.picture, corpus.sound):
            reduce = make_pipeline(StandardScaler(), PCA(min(32, fitted.sum() // 2), random_state=0)).fit(side[fitted])
            sides.append((reduce.transform(side[fitted]), reduce.transform(side[held])))
        cca = CCA(10, max_iter=2000).fit(sides[0][0], sides[1][0])
        a, b = cca.transform(sides[0][1], sides[1][1])
        cosine[held] = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return cosine


def evaluate(seed: int, videos: int, seconds: tuple[float, float]) -> dict[str, object]:
    """All figures of one world."""
    clock = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as name:
        world = make_world(Path(name) / "world", seed=seed, videos=videos, seconds=seconds)
        lake, batches, truth = measured(world, Path(name))
        fit_cpu = time.process_time()
        fitted = fit(lake, batches)
        fit_cpu = time.process_time() - fit_cpu
        rows = scores(lake, batches)
        corpus, _ = read_corpus(lake, batches)
        scorer = Scorer.loads(lake.read(lake.model_key("correspond", str(fitted["model"]))))
        pairs = held_out_pairs(scorer, corpus)
    about = [truth[row["video_id"]] for row in rows]
    match = np.array([t["planted"] in MATCHES for t in about])
    mismatch = np.array([t["planted"] == "mismatch" for t in about])
    known = match | mismatch
    z, score = (np.array([row[column] for row in rows]) for column in ("z", "score"))
    plain = reference(corpus, scorer)
    seen, heard = pairs[:, 0].astype(int), pairs[:, 1].astype(int)
    other = (
        np.array([truth[v]["visual_class"] for v in corpus.video])[seen]
        != np.array([truth[v]["audio_class"] for v in corpus.video])[heard]
    )
    false = seen != heard
    return {
        "bench": "correspond",
        "seed": seed,
        "videos": fitted["videos"],
        "clips": len(rows),
        "matches": int(match.sum()),
        "mismatches": int(mismatch.sum()),
        "auc": round(float(roc_auc_score(match[known], z[known])), 4),
        "auc_score": round(float(roc_auc_score(match[known], score[known])), 4),
        "auc_reference": round(float(roc_auc_score(match[known], plain[known])), 4),
        "kept": round(float((z[match] >= THRESHOLD).mean()), 4),
        "let_through": round(float((z[mismatch] >= THRESHOLD).mean()), 4),
        "false_accept": round(float((pairs[false, 2] >= THRESHOLD).mean()), 4),
        "false_accept_other": round(float((pairs[false & other, 2] >= THRESHOLD).mean()), 4),
        "fit_cpu_s": round(fit_cpu, 2),
        "wall_s": round(time.perf_counter() - clock, 1),
    }


def main() -> int:
    """Run, print, and say whether the mean AUC holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2,3,4", help="worlds, comma-separated")
    parser.add_argument("--videos", type=int, default=DEFAULT_VIDEOS, help="source videos a world")
    parser.add_argument("--quick", action="store_true", help="one world too small to fit well, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    threadpool_limits(1)  # as the command line does
    seeds = [int(seed) for seed in options.seeds.split(",")]
    size = (options.videos, (15.0, 60.0))
    if options.quick:
        seeds, size = seeds[:1], (48, (5.0, 6.0))
    figures = []
    for seed in seeds:
        figures.append(evaluate(seed, *size))
        show(figures[-1], options.json)
    columns = ("auc", "auc_score", "auc_reference", "kept", "let_through", "false_accept", "false_accept_other")
    mean = {name: round(float(np.mean([f[name] for f in figures])), 4) for name in columns}
    limit = QUICK_LIMIT if options.quick else LIMIT
    show({"bench": "correspond mean", "seeds": seeds, **mean, "limit": limit}, options.json)
    return 0 if mean["auc"] >= limit else 1


if __name__ == "__main__":
    sys.exit(main())
