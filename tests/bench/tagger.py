"""The built-in tagger on sounds whose truth the world knows: is speech heard where somebody speaks over, music where it
is laid over?

    .venv/bin/python tests/bench/tagger.py [--clips 120] [--seeds 201,202] [--quick] [--json]

Sounds of a world's videos, 10 s each, a quarter of them under a voice and a quarter under music. Per class: precision
and recall at the threshold of `thresholds.csv` (point `separate`), and the area under the ROC curve. Music's four
measures are fitted anew on these very sounds too (logistic regression, standardised; each sound is scored by a fit that
did not see it): the reference, and weights to compare `tagger.WEIGHTS` with. Exit status 1 when precision or recall is
below LIMIT, or when music's area is less than RATIO of the reference's.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tests.bench.figures import show
from tests.bench.separation import known
from tests.world.make import make_plan
from winnow.core.settings import Settings
from winnow.models import builtin_audio
from winnow.models.tagger import WEIGHTS, Tagger, music_measures

SECONDS = 10.0
#: The class and what is planted where it is to be heard.
PLANTED = {"speech": "voice_over", "music": "music"}
#: Least precision and recall; least share of the reference's area.
LIMIT, RATIO = 0.9, 0.97


def thresholds() -> dict[str, float]:
    """From which score a class is heard, as the decisions have it."""
    with (Path(Settings().dbt_dir) / "seeds" / "thresholds.csv").open(newline="", encoding="utf-8") as file:
        values = {row["rule"]: float(row["value"]) for row in csv.DictReader(file) if row["point"] == "separate"}
    return {name: values[f"{name}_heard"] for name in PLANTED}


def heard(seeds: Sequence[int], clips: int) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Of so many sounds of each world: what is planted, str (n,); scores by class, float64 (n,); music's measures,
    float64 (n, 4)."""
    tagger = Tagger()
    kinds, scores, measures = [], [], []
    for seed in seeds:
        plants = dict.fromkeys(PLANTED.values(), clips // 4)
        for video in make_plan(seed, clips, 3, (SECONDS, SECONDS), plants):
            own, cover = known(video)
            wave = ((own if cover is None else own + cover) / 4).astype(np.float32)
            found = tagger(wave)
            kinds.append(str(video.planted))
            scores.append([found[name] for name in PLANTED])
            measures.append(music_measures(builtin_audio.analyse(wave)))
    columns = np.array(scores, np.float64).T
    return np.array(kinds), dict(zip(PLANTED, columns, strict=True)), np.array(measures)


def told(score: np.ndarray, true: np.ndarray, at: float) -> dict[str, float]:
    """Precision, recall and area of scores."""
    said = score >= at
    return {
        "precision": round(float(true[said].mean()) if said.any() else 0.0, 4),
        "recall": round(float(said[true].mean()), 4),
        "auc": round(float(roc_auc_score(true, score)), 4),
    }


def figures(seeds: Sequence[int], clips: int) -> Iterator[dict[str, object]]:
    """All of them, the reference last."""
    kinds, scores, measures = heard(seeds, clips)
    least, music = thresholds(), kinds == PLANTED["music"]
    for name, kind in PLANTED.items():
        found = {"bench": "tagger", "seeds": list(seeds), "clips": len(kinds), "planted": int((kinds == kind).sum())}
        yield {**found, "class": name, "at": least[name], **told(scores[name], kinds == kind, least[name])}
    model = make_pipeline(StandardScaler(), LogisticRegression())
    anew = told(cross_val_predict(model, measures, music, cv=5, method="predict_proba")[:, 1], music, least["music"])
    scale, fitted = model.fit(measures, music)
    weights = fitted.coef_[0] / scale.scale_
    constant = fitted.intercept_[0] - weights @ scale.mean_
    yield {
        "bench": "refit",
        "class": "music",
        **anew,
        "weights": np.round([*weights, constant], 3).tolist(),
        "ours": WEIGHTS.tolist(),
        "ratio": round(roc_auc_score(music, scores["music"]) / anew["auc"], 4),
    }


def main() -> int:
    """Print the figures, and say whether they hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=120, help="sounds a world")
    parser.add_argument("--seeds", default="201,202", help="worlds, comma-separated; below 100 for development")
    parser.add_argument("--quick", action="store_true", help="40 sounds of one world, within 30 s")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    threadpool_limits(1)  # as the command line does
    seeds = [int(seed) for seed in options.seeds.split(",")]
    good = True
    for figure in figures(seeds[:1] if options.quick else seeds, 40 if options.quick else options.clips):
        show(figure, options.json)
        good &= figure["ratio"] >= RATIO if "ratio" in figure else min(figure["precision"], figure["recall"]) >= LIMIT
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
