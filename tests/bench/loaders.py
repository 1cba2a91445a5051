"""What the field's loaders read of an export: every row, its types, its split.

    .venv/bin/python tests/bench/loaders.py [--venv DIR] [--export DIR …] [--quick] [--json]

Exports a small release (licences of every kind, rows whose first values mislead a loader that guesses types) in each
format, and AVSET-10M's files; then reads each with the pinned loaders in a virtual environment of their own: webdataset
with torch's DataLoader, Hugging Face `datasets` (by the card's configs, without network), mlcroissant, DuckDB, pandas.
A line a loader and format: rows wanted and read. Exit status 1 where a row, a type, a split or a file is another one.
--export: exports that lie there already, of any size, instead.

The environment is made in a temporary folder, or in --venv, where it is kept: 1.2 GB, some minutes, and not part of
--quick's 30 s. Where pip cannot install it, this skips and says why. --quick: without torch where it is not
installed yet.
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

import duckdb

from tests.bench.figures import show
from tests.bench.video2dataset import Skip
from tests.unit import exported
from winnow.delivery.options import Options
from winnow.delivery.run import export

PACKAGES = (
    "datasets==5.2.0",
    "webdataset==1.0.2",
    "mlcroissant==1.1.1",
    "duckdb==2.0.0",
    "pandas==3.1.1",
    "pyarrow==26.0.1",
)
TORCH = ("torch==2.13.0",)
#: Run inside that environment: `reader.py EXPORT FORMAT`; prints {loader: {config/split: [rows, digest of ids and z]}}.
READER = Path(__file__).with_name("loaders_reader.py")


def installed(folder: Path, torch: bool) -> Path:
    """The interpreter of an environment with the loaders, made where it is not there; Skip where it cannot be."""
    python = folder / "bin" / "python"
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True)
        if made.returncode:
            raise Skip(f"no virtual environment: {made.stderr.strip()[-300:] or made.stdout.strip()[-300:]}")
    wanted = {
        "datasets": PACKAGES,
        "webdataset": PACKAGES,
        "mlcroissant": PACKAGES,
        **({"torch": TORCH} if torch else {}),
    }
    missing = {
        one
        for module, packages in wanted.items()
        for one in packages
        if subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode
    }
    if missing:
        pip = subprocess.run([python, "-m", "pip", "install", "-q", *sorted(missing)], capture_output=True, text=True)
        if pip.returncode:
            raise Skip(f"pip cannot install them: {pip.stderr.strip()[-300:]}")
    return python


def wanted(folder: Path) -> dict[str, list]:
    """By split, ids and z of all rows and of those with a file, as the export's own tables say."""
    with duckdb.connect() as con:
        found = con.execute(
            f"select split, id, z, has_file, has_residual from '{folder}/tables/*.parquet' order by split, id"
        ).fetchall()
    splits: dict[str, list] = {}
    for split, *row in found:
        splits.setdefault(split, []).append(row)
    return splits


def compare(python: Path, folder: Path) -> list[dict[str, object]]:
    """A figure a loader: rows wanted and read, and what differs."""
    form = json.loads((folder / "index.json").read_text())["plan"]["format"]
    rows = wanted(folder)
    with tempfile.TemporaryDirectory(prefix="winnow-loaders-") as home:
        alone = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "WINNOW"))}
        alone |= {"HF_HOME": home, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HOME": home, "TQDM_DISABLE": "1"}
        ran = subprocess.run([python, READER, folder, form], env=alone, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{READER.name} {form}: {ran.stderr[-3000:]}")
    figures = []
    for name, found in json.loads(ran.stdout.splitlines()[-1]).items():
        if "skipped" in found:
            figures.append({"loader": name, "format": form, "skipped": found["skipped"]})
            continue
        with_media = found.pop("media")
        expected = {split: [row[:2] for row in all_ if not with_media or row[2]] for split, all_ in rows.items()}
        expected = {split: all_ for split, all_ in expected.items() if all_}
        read = {split: sorted(all_) for split, all_ in found["splits"].items()}
        wrong = [split for split in {*expected, *read} if expected.get(split) != read.get(split)]
        figures.append(
            {
                "loader": name,
                "format": form,
                "wanted": sum(map(len, expected.values())),
                "read": sum(map(len, found["splits"].values())),
                "wrong": ", ".join([*sorted(wrong), *found["wrong"]]),
            }
        )
    return figures


def avset(python: Path, folder: Path) -> dict[str, object]:
    """The same of AVSET-10M's files, by `load_dataset` and their card."""
    from tests.unit.exports.test_avset import clip, write

    clips = [clip(n, part=n // 3) for n in range(6)]
    said = [{"mid": "/m/1", "name": None, "score": 1.0}]
    clips += [clip(n, subset="captioned", part=n, pseudo_label=said) for n in range(6, 11)]
    write(folder, *clips)
    code = (
        "import sys, json; from datasets import load_dataset, get_dataset_config_names as names; at = sys.argv[1]\n"
        "print(json.dumps({n: {s: len(d) for s, d in load_dataset(at, n).items()} for n in names(at)}))"
    )
    alone = {**os.environ, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    alone.pop("PYTHONPATH", None)
    ran = subprocess.run([python, "-c", code, folder / "out"], env=alone, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"AVSET: {ran.stderr[-3000:]}")
    found = json.loads(ran.stdout.splitlines()[-1])
    right = found == {"AVSET-700K": {"train": 6}, "AVSET-10M": {"train": 5}}
    read = sum(rows for config in found.values() for rows in config.values())
    wrong = "" if right else json.dumps(found)
    return {"loader": "datasets", "format": "avset", "wanted": 11, "read": read, "wrong": wrong}


def main() -> int:
    """Run, print, and say whether everything was read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venv", type=Path, help="where the loaders are, or are to be, installed")
    parser.add_argument("--export", type=Path, nargs="*", default=[], help="exports to read instead")
    parser.add_argument("--quick", action="store_true", help="without torch where it is not installed")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as name:
        folder = Path(name)
        try:
            python = installed(options.venv or folder / "venv", torch=not options.quick)
        except Skip as why:
            show({"bench": "loaders", "skipped": str(why)}, options.json)
            return 0
        exports = list(options.export)
        figures = []
        if not exports:
            lake = exported.build(folder / "lake")
            for form in ("webdataset", "folder", "parquet"):
                export(lake, str(folder / form), Options(format=form, shard_bytes=12_000))
                exports.append(folder / form)
            export(lake, str(folder / "references"), Options(media="none"))
            exports.append(folder / "references")
            (folder / "avset").mkdir()
            figures.append(avset(python, folder / "avset"))
        for one in exports:
            figures += compare(python, one.resolve())
    for figure in figures:
        show({"bench": "loaders", **figure}, options.json)
    return 1 if any(figure.get("wrong") for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
