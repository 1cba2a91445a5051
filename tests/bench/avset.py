"""AVSET-10M's curation against worlds whose truth is known: mismatches by every scorer alone and by all together.

    .venv/bin/python tests/bench/avset.py [--seeds 101,102,103] [--videos 400] [--keep DIR] [--quick] [--json]

For each seed a world is made and served, its three days go through `curate`, both scorers that can be fitted are fitted
on them without ever reading the truth, every clip is scored, the scorers are calibrated, and dbt builds a release.
Then the truth says which clips have the sound of another class (planted: mismatch) and which their own; what else is
planted (voice-over, music, silence …) is neither. A scorer's answer is "mismatch" below its threshold. Figures per seed
and over all of them (counts are added up):

- scorers: precision, recall and F1 of `z`, of every scorer's sigma and of `together`, at 1.645 σ (what the release rule
  compares with), the same at μ + kσ of AVSET-10M, and the area under the ROC curve.
- decision: what the release dropped by its rules of correspondence, among clips that no earlier rule dropped.
- voice_over, music: clips that the policy flagged, against those that planted speech or music covers; recycled: of the
  flagged clips that planted speech covers, how many came back; wrong are those that came back and that neither covers,
  mismatches among them. The same for each scorer alone: what its score of the residual would let back. Their clean
  sound is known: separation says what was gained (SI-SDR, dB), and how many residuals pass with their own picture and
  with those of other classes (`tests/bench/separation.py`).

--quick leaves dbt out: one small world, measured and scored by the stages alone. --keep DIR keeps worlds and lakes, so
that a second run computes only what has changed. Exit status 1 when a figure is below its limit (LIMITS): F1 of
mismatches by `together`, precision and recall of voice-overs, the share of them that came back; with --quick the area
of z.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from tests.bench import separation
from tests.bench.correspond import MATCHES, measured
from tests.bench.figures import show
from tests.bench.media import run_stage, served
from tests.world.make import make_world
from winnow.batch.curate import curate
from winnow.core import corpus_table
from winnow.core.lake import Lake
from winnow.core.settings import Settings
from winnow.core.shard import Lineage
from winnow.core.stage import stage_needs
from winnow.fitting import fit, fit_two_tower
from winnow.fitting.calibrate import calibrate
from winnow.gates import gate_batch
from winnow.release.build import build_release

SIGMA = 1.645
#: Aims: what is judged and its figure → the least that it must be.
LIMITS = {
    (f"together at {SIGMA}", "f1"): 0.95,
    ("voice_over", "precision"): 0.9,
    ("voice_over", "recall"): 0.9,
    ("recycled", "recall"): 0.5,
}
QUICK_LIMITS = {(f"z at {SIGMA}", "auc"): 0.6}
SCORES = ("z", "builtin", "semantic", "sync", "two_tower", "bridge", "joint", "together")
#: What the release says of every clip.
CLIPS = """
    select clips.url, clips.sample_id, clips.status, clips.first_failed_rule, clips.flag, clips.flag_why,
        clips.is_recycled, clips.z, clips.residual_z, clips.effective_z as together, {sigmas}, max(scores.k) as k
    from fct_clips as clips left join fct_scores as scores on scores.sample_id = clips.sample_id
    group by all order by clips.sample_id
"""


Measured = tuple[list[dict], dict[str, dict], dict[str, float]]


def whole(root: Path, seed: int, videos: int, seconds: tuple[float, float]) -> Measured:
    """A world through the house: rows of every clip, the truth by URL, and what separation gained."""
    world = make_world(root / "world", seed=seed, videos=videos, seconds=seconds)
    lake = Lake(root / "lake")
    days = sorted(folder.name for folder in world.inbox.iterdir())
    with served(world) as rewrites:
        settings = Settings(
            lake=lake.root,
            inbox=world.inbox,
            fetch_rewrites=rewrites,
            fetch_allow_networks="127.0.0.0/8",
            fetch_timeout_s=1.5,
            fetch_deadline_s=30,
        )
        for day in days:
            curate(day, settings, lake, say=lambda line: None)
        models(lake, settings, days)
        for day in days:
            curate(day, settings, lake, say=lambda line: None)
    calibrate(lake, days)
    gate_batch(days, settings, lake)
    work = root / "release"
    work.mkdir(exist_ok=True)
    build_release(work, lake, settings)
    gained = [row["gained_db"] for row in separation.gained(world.videos, lake, days)]
    passed = separation.fooled(world.videos, lake, days)
    sound = {"clips": len(gained), "own_picture": passed["own"], "other_pictures": passed["wrong"]}
    if gained:
        sound |= {"gained_mean_db": float(np.mean(gained)), "gained_median_db": float(np.median(gained))}
    return rows_of(work / "winnow.duckdb"), {row["url"]: row for row in world.truth()}, sound


def models(lake: Lake, settings: Settings, batches: Sequence[str]) -> None:
    """Fit what can be fitted, and score with what `curate` does not run."""
    fit.fit(lake, batches)
    if find_spec("torch"):
        fit_two_tower.fit(lake, batches)
        for batch in batches:
            run_stage(lake, settings, "two_tower", batch)


def rows_of(snapshot: Path) -> list[dict]:
    """What a release says of its clips, one row each."""
    import duckdb

    sigmas = ", ".join(
        f"max(sigma) filter (where scorer = '{name}' and sound = '{sound}') as {prefix}{name}"
        for name in SCORES[1:-1]
        for sound, prefix in (("mixture", ""), ("residual", "residual_"))
    )
    with duckdb.connect(str(snapshot), read_only=True) as con:
        found = con.execute(CLIPS.format(sigmas=sigmas))
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def quick(root: Path, seed: int) -> Measured:
    """A small world through the stages alone, without dbt: sigmas are taken from the calibration here."""
    world = make_world(root / "world", seed=seed, videos=36, seconds=(5.0, 6.0))
    lake, batches, truth = measured(world, root)
    settings = Settings(lake=lake.root)
    models(lake, settings, batches)
    calibrate(lake, batches)
    null = {
        (r["scorer"], r["model"]): r for r in corpus_table.read(lake, "calibration").to_pylist() if r["kind"] == NULL
    }
    rows: dict[str, dict] = {}
    for stage, columns in (
        ("correspond", {"builtin": "score", "semantic": "semantic", "sync": "sync"}),
        ("two_tower", {"two_tower": "score"}),
    ):
        for batch in batches:
            if stage == "correspond":
                run_stage(lake, settings, stage, batch)
            lineage = Lineage(lake, batch, stage_needs())
            for manifest in filter(None, (lineage.committed(stage, n) for n in lineage.numbers(stage))):
                for row in pq.read_table(io.BytesIO(lake.read_table(manifest))).to_pylist():
                    of = rows.setdefault(row["sample_id"], {"url": row["video_id"], "z": None})
                    of["z"] = row.get("z", of["z"])
                    for name, column in columns.items():
                        fitted = null.get((name, row["model"]))
                        if fitted and row["outcome"] == "ok":
                            of[name] = (row[column] - fitted["mean"]) / fitted["std"]
    return list(rows.values()), truth, {}


NULL = "non_corresponding"


def mismatches(rows: Sequence[Mapping], truth: Mapping[str, Mapping]) -> tuple[list[Mapping], np.ndarray]:
    """Clips that are planted mismatches or matches, and which they are."""
    kinds = [(row, truth[row["url"]]["planted"]) for row in rows if row["url"] in truth]
    judged = [(row, kind == "mismatch") for row, kind in kinds if kind == "mismatch" or kind in MATCHES]
    return [row for row, _ in judged], np.array([bad for _, bad in judged], bool)


def counts(said: np.ndarray, true: np.ndarray) -> dict[str, int]:
    """Right and wrong answers."""
    return {"tp": int((said & true).sum()), "fp": int((said & ~true).sum()), "fn": int((~said & true).sum())}


def figures(rows: Sequence[Mapping], truth: Mapping[str, Mapping]) -> dict[str, dict[str, float]]:
    """Counts and areas of one world, by what is judged."""
    out: dict[str, dict[str, float]] = {}
    judged, bad = mismatches(rows, truth)
    for name in SCORES:
        has = np.array([row.get(name) is not None for row in judged], bool)
        if not has.any() or len(set(bad[has])) < 2:
            continue
        score = np.array([row[name] for row, there in zip(judged, has, strict=True) if there])
        out[f"{name} at {SIGMA}"] = counts(score < SIGMA, bad[has]) | {"auc": roc_auc_score(~bad[has], score)}
        if name not in ("z", "together") and judged[0].get("k") is not None:
            k = max(row["k"] for row in judged if row["k"] is not None)
            out[f"{name} at {k:g}"] = counts(score <= k, bad[has])
    if "status" not in rows[0]:
        return out
    rules = correspondence_rules()
    reached = [row["status"] == "kept" or row["first_failed_rule"] in rules for row in judged]
    said = np.array([row["first_failed_rule"] in rules for row in judged], bool)
    out["decision"] = counts(said[reached], bad[reached])
    return out | sounds(rows, truth)


def correspondence_rules() -> set[str]:
    """Rules that say that sound and picture do not belong together (dbt var correspondence_rules)."""
    import yaml

    project = yaml.safe_load((Path(Settings().dbt_dir) / "dbt_project.yml").read_text())
    return set(project["vars"].get("correspondence_rules", ["low_correspondence"]))


def sounds(rows: Sequence[Mapping], truth: Mapping[str, Mapping]) -> dict[str, dict[str, float]]:
    """The voice-over policy: what was flagged for speech and for music, and what came back. Clips that are dropped for
    another reason (silent, frozen …) count as well: the policy looks at sound alone."""
    rows = [row for row in rows if row["url"] in truth]
    kinds = np.array([truth[row["url"]]["planted"] for row in rows], object)
    flagged = np.array([bool(row["flag"]) for row in rows], bool)
    why = [row["flag_why"] or "" for row in rows]
    music = flagged & np.array([text.lower().startswith("music") for text in why], bool)
    spoken = flagged & ~music
    recycled = np.array([bool(row["is_recycled"]) for row in rows], bool)
    kept = np.array([row["status"] == "kept" for row in rows], bool)
    covered = np.array([kind in ("voice_over", "music") for kind in kinds], bool)
    over = spoken & (kinds == "voice_over")
    back = {"recycled": kept}
    for name in ("z", *SCORES[1:-1]):
        left = [row.get(f"residual_{name}") for row in rows]
        if any(score is not None for score in left):
            back[f"recycled by {name}"] = np.array([score is not None and score >= SIGMA for score in left], bool)
    return {
        "voice_over": counts(spoken, kinds == "voice_over"),
        "music": counts(music, kinds == "music"),
        "flagged": counts(flagged, covered),
        **{name: counts((recycled & passes)[over | ~covered], over[over | ~covered]) for name, passes in back.items()},
    }


def told(found: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Counts as precision, recall and F1."""
    out = {}
    for name, of in found.items():
        tp, fp, fn = of["tp"], of["fp"], of["fn"]
        out[name] = {
            "precision": round(tp / (tp + fp), 4) if tp + fp else None,
            "recall": round(tp / (tp + fn), 4) if tp + fn else None,
            "f1": round(2 * tp / (2 * tp + fp + fn), 4) if tp + fp + fn else None,
            **{key: round(value, 4) for key, value in of.items()},
        }
    return out


def missed(pooled: Mapping[str, Mapping[str, float]], limits: Mapping[tuple[str, str], float]) -> list[tuple[str, str]]:
    """Aims whose figure is below its limit, or was not measured."""
    return [(what, name) for (what, name), least in limits.items() if (pooled.get(what, {}).get(name) or 0) < least]


def main() -> int:
    """Run, print, and say whether every aim holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="101,102,103", help="worlds, comma-separated; below 100 for development")
    parser.add_argument("--videos", type=int, default=400, help="source videos a world")
    parser.add_argument("--seconds", type=float, nargs=2, default=(15.0, 45.0), help="shortest and longest video")
    parser.add_argument("--keep", type=Path, help="keep worlds and lakes here")
    parser.add_argument("--quick", action="store_true", help="one small world without dbt, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    threadpool_limits(1)  # as the command line does
    seeds = [int(seed) for seed in options.seeds.split(",")][: 1 if options.quick else None]
    total: dict[str, Counter] = {}
    areas: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as scratch:
        for seed in seeds:
            clock = time.perf_counter()
            root = (options.keep or Path(scratch)) / f"{seed}-{options.videos}{'-quick' * options.quick}"
            root.mkdir(parents=True, exist_ok=True)
            made = quick(root, seed) if options.quick else whole(root, seed, options.videos, options.seconds)
            rows, truth, sound = made
            found = figures(rows, truth)
            for name, of in found.items():
                total.setdefault(name, Counter()).update({key: n for key, n in of.items() if key != "auc"})
                areas.setdefault(name, []).extend([of["auc"]] if "auc" in of else [])
            wall = {"clips": len(rows), "wall_s": round(time.perf_counter() - clock, 1)}
            for name, of in told(found).items():
                show({"bench": "avset", "seed": seed, **wall, "what": name, **of}, options.json)
            if sound:
                rounded = {key: round(value, 3) for key, value in sound.items()}
                show({"bench": "avset", "seed": seed, "what": "separation", **rounded}, options.json)
    means = {name: {"auc": float(np.mean(of))} if of else {} for name, of in areas.items()}
    pooled = told({name: dict(of) | means[name] for name, of in total.items()})
    for name, of in pooled.items():
        show({"bench": "avset all", "seeds": seeds, "what": name, **of}, options.json)
    limits = QUICK_LIMITS if options.quick else LIMITS
    for (what, name), least in limits.items():
        show({"bench": "avset limit", "what": what, name: pooled.get(what, {}).get(name), "limit": least}, options.json)
    return 1 if missed(pooled, limits) else 0


if __name__ == "__main__":
    sys.exit(main())
