"""Task retrieve on real pairs: Debian's stamps of tuxpaint, pictures and sounds of the same thing, by real encoders.

    .venv/bin/python tests/bench/stamps.py [--stamps DIR] [--seeds 0,1,2] [--models ridge,both] [--quick] [--json]

--stamps is the package's folder, which apt brings without it (as `make real-pairs` does); WINNOW_WEIGHTS has
efficientnet-lite0 and yamnet (`winnow weights install`). --quick: planted pairs in their place, one seed. The pairs are
divided into four folds; each is the test split of a release of its own, the others its training split, and `winnow
train retrieve` and `winnow evaluate retrieve` do the rest; once more with sounds dealt out anew. A line a model: R@1,
R@5, MRR as means over folds and seeds, both ways, R@5 of shuffled pairs, and chance.

Exit status 1 when the R@5 of ridge or of learned heads is below LEAST at a gallery of 21, when two heads, which
begin as the ridge, stand below it by more than BEHIND, or a shuffled model's is above chance by ROOM.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import numpy as np
from click.testing import CliRunner

from tests.bench.figures import show
from tests.unit.train import paired, planted
from winnow.benchmark.pairs import Pairs, encode
from winnow.benchmark.pairs import paired as found_in
from winnow.core.lake import Lake

WITHOUT = ("symbols", "cartoon", "seasonal", "roadsigns")
FOLDS, LEAST, ROOM, BEHIND = 4, 0.45, 0.10, 0.02
LEARNED = ("both", "audio")
FIGURES = ("R@1", "R@5", "MRR")
#: A few dozen pairs: small heads, many epochs, weights that decay.
OPTIONS = ("narrow=8", "batch=63", "epochs=60", "weight_decay=0.1", "temperature=0.1", "recall=1,5")


def main() -> int:
    """Print a line a model; exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stamps", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--models", default="ridge,both,audio,untrained")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    pairs, held = _planted() if args.quick else _encoded(args.stamps), True
    seeds = [0] if args.quick else [int(one) for one in args.seeds.split(",")]
    reached: dict[str, float] = {}
    for model in args.models.split(","):
        rows: dict[str, list[dict]] = {"true": [], "shuffled": []}
        for seed in seeds:
            fold = np.random.default_rng(seed).permutation(len(pairs.names)) % FOLDS
            for k in range(FOLDS):
                with tempfile.TemporaryDirectory(prefix="winnow-bench-") as scratch:
                    for labels, tried in rows.items():
                        tried.append(_tried(Path(scratch) / labels, pairs, fold == k, model, labels, seed))
        mean = {
            labels: {n: float(np.mean([row[n] for row in tried])) for n in FIGURES} for labels, tried in rows.items()
        }
        chance = float(np.mean([row["chance"] for row in rows["true"]]))
        gallery = float(np.mean([row["gallery"] for row in rows["true"]]))
        said = {n: round(v, 3) for n, v in mean["true"].items()}
        show(
            {
                "model": model,
                "pairs": len(pairs.names),
                "gallery": gallery,
                **said,
                "chance": round(chance, 3),
                "shuffled R@5": round(mean["shuffled"]["R@5"], 3),
            },
            args.json,
        )
        held &= mean["shuffled"]["R@5"] <= chance + ROOM
        reached[model] = mean["true"]["R@5"]
    learned = [value for model, value in reached.items() if model in LEARNED]
    held &= all(value >= LEAST for value in (*learned, reached.get("ridge", LEAST)))
    held &= reached.get("both", 1.0) >= reached.get("ridge", 0.0) - BEHIND
    return 0 if held else 1


def _encoded(stamps: Path | None) -> Pairs:
    """The stamps' vectors."""
    weights = Path(os.environ.get("WINNOW_WEIGHTS", "weights"))
    if stamps is not None:
        return encode(found_in(stamps, WITHOUT), weights)
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as scratch:
        subprocess.run(["apt-get", "download", "-q", "tuxpaint-stamps-default"], cwd=scratch, check=True)
        subprocess.run(["dpkg", "-x", next(Path(scratch).glob("*.deb")), scratch], check=True)
        return encode(found_in(Path(scratch) / "usr/share/tuxpaint/stamps", WITHOUT), weights)


def _planted() -> Pairs:
    """As many pairs, whose vectors say the same thing."""
    rows = paired.clips(84)
    arrays = paired.vectors_of(rows, noise=1.0)
    return Pairs([row["video_id"] for row in rows], arrays["visual"], arrays["audio"], ())


def _tried(folder: Path, pairs: Pairs, test: np.ndarray, model: str, labels: str, seed: int) -> dict:
    """One fold through the commands."""
    from winnow.cli.main import cli
    from winnow.core import settings

    lake, rows = Lake(folder / "lake"), []
    for k, name in enumerate(pairs.names):
        split = "test" if test[k] else "train"
        rows.append(
            {
                "sample_id": f"{k:020x}",
                "video_id": name,
                "uploader": None,
                "label": "unlabelled",
                "status": "kept",
                "split": split,
                "group_id": name,
                "effective_z": None,
            }
        )
    paired.release(lake, rows)
    arrays = {"audio": np.asarray(pairs.sound, np.float32), "visual": np.asarray(pairs.picture, np.float32)}
    encoders = json.dumps({"audio": "yamnet", "visual": "efficientnet-lite0"})
    path = planted.write_vectors(folder / "vectors.parquet", rows, arrays, encoders=encoders)
    environment = {"WINNOW_LAKE": lake.root, "WINNOW_DEVICE": "cpu"}
    given = [f"--set={one}" for one in (*OPTIONS, f"vectors={path}", f"labels={labels}", f"seed={seed}")]
    for words in (["train", "retrieve", "--model", model, *given], ["evaluate", "retrieve"]):
        settings.load.cache_clear()
        done = CliRunner().invoke(cli, [*words, "--run", "one"], env=environment, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    raise SystemExit(main())
