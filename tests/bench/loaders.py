"""What the field's loaders read of an export: every row, its types, its split.

    .venv/bin/python tests/bench/loaders.py [--venv DIR] [--clips N | --lake DIR] [--format F …] [--loader L …]
        [--dir DIR] [--quick] [--json]

Exports a small release (licences of every kind, rows whose first values mislead a loader that guesses types) in each
format, and AVSET-10M's files; then reads each with the pinned loaders in a virtual environment of their own: webdataset
with torch's DataLoader, Hugging Face `datasets` (by the card's configs, without network), mlcroissant, DuckDB, pandas.
A line a loader and format: rows wanted and read, and the seconds that a loader took. Exit status 1 where a row, a type,
a split or a file is another one, or where a second export has other bytes.
--clips: of so many synthetic clips of 2 kB instead; --lake: of that lake's release, as of the demo's (DIR/lake).
--format and --loader: only these cases, each of which runs alone; --dir keeps what is exported for the next ones.

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
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that the file runs by its path too

from winnow.core import cpu

cpu.pin()  # as the command line does

import duckdb

from tests.bench.export import build
from tests.bench.figures import show
from tests.bench.video2dataset import Skip
from tests.unit import exported
from winnow.core.lake import Lake
from winnow.delivery.options import Options
from winnow.delivery.run import export
from winnow.release import copies
from winnow.release.copies import LISTS

PACKAGES = (
    "datasets==5.2.0",
    "webdataset==1.0.2",
    "mlcroissant==1.1.1",
    "duckdb==2.0.0",
    "pandas==3.1.1",
    "pyarrow==26.0.1",
)
TORCH = ("torch==2.13.0",)
#: What is exported, and what reads it; a release's references alone, and AVSET's files, are read as formats are.
FORMATS = ("webdataset", "folder", "parquet", "references", "avset")
LOADERS = ("datasets", "webdataset", "mlcroissant", "duckdb", "pandas")
#: Bytes of a synthetic clip, on average, and of a shard: more than one of each split, in the small release too.
CLIP_BYTES, SHARD_BYTES, SMALL_SHARD_BYTES = 2000, 32 << 20, 12_000
#: Run inside that environment: `reader.py EXPORT FORMAT LOADER`.
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


def compare(python: Path, folder: Path, loader: str) -> list[dict[str, object]]:
    """A figure for each thing that a loader opens of an export: rows wanted and read, and what differs."""
    form = json.loads((folder / "index.json").read_text())["plan"]["format"]
    rows = wanted(folder)
    with tempfile.TemporaryDirectory(prefix="winnow-loaders-") as home:
        alone = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "WINNOW"))}
        alone |= {"HF_HOME": home, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HOME": home, "TQDM_DISABLE": "1"}
        began = time.perf_counter()
        ran = subprocess.run([python, READER, folder, form, loader], env=alone, capture_output=True, text=True)
        took = round(time.perf_counter() - began, 1)
    if ran.returncode:
        raise SystemExit(f"{READER.name} {form} {loader}: {ran.stderr[-3000:]}")
    figures = []
    for name, found in json.loads(ran.stdout.splitlines()[-1]).items():
        if "skipped" in found:
            figures.append({"loader": name, "format": folder.name, "skipped": found["skipped"]})
            continue
        with_media = found.pop("media")
        expected = {split: [row[:2] for row in all_ if not with_media or row[2]] for split, all_ in rows.items()}
        expected = {split: all_ for split, all_ in expected.items() if all_}
        read = {split: sorted(all_) for split, all_ in found["splits"].items()}
        wrong = [split for split in {*expected, *read} if expected.get(split) != read.get(split)]
        figures.append(
            {
                "loader": name,
                "format": folder.name,
                "wanted": sum(map(len, expected.values())),
                "read": sum(map(len, found["splits"].values())),
                "wrong": ", ".join([*sorted(wrong), *found["wrong"]]),
                "seconds": took,
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


def exports(lake: Lake, folder: Path, form: str, shard_bytes: int) -> list[dict[str, object]]:
    """Export to `<folder>/<form>`, where it is not there yet, twice: a figure that says whether the bytes are equal."""
    if (folder / form / "index.json").exists():
        return []
    options = Options(media="none") if form == "references" else Options(format=form, shard_bytes=shard_bytes)
    export(lake, str(folder / form), options)
    with tempfile.TemporaryDirectory(prefix="winnow-again-", dir=folder) as again:
        export(lake, again, options)
        lists = [(at / LISTS["export"]).read_bytes() for at in (folder / form, Path(again))]
        same = lists[0] == lists[1] and all(bool(copies.verify(at)["ok"]) for at in (folder / form, again))
    files = len(json.loads(lists[0])["files"])
    return [{"loader": "twice", "format": form, "files": files, "wrong": "" if same else "other bytes"}]


def cases(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, object]]:
    """What each case of these options finds, one after the other."""
    python = installed(options.venv or folder / "venv", torch=not options.quick)
    lake = Lake(options.lake or folder / "lake")
    if not lake.exists("releases/current"):
        if options.clips:
            build(folder / "lake", options.clips, CLIP_BYTES, varied=True)
        else:
            exported.build(folder / "lake")
    for form in options.format:
        if form == "avset":
            if not options.lake and not options.clips and "datasets" in options.loader:
                (folder / "avset").mkdir()
                yield avset(python, folder / "avset")
            continue
        large = bool(options.clips or options.lake)
        yield from exports(lake, folder, form, SHARD_BYTES if large else SMALL_SHARD_BYTES)
        for loader in options.loader:
            if loader != "webdataset" or form == "webdataset":
                yield from compare(python, folder / form, loader)


def main() -> int:
    """Run, print, and say whether everything was read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venv", type=Path, help="where the loaders are, or are to be, installed")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--clips", type=int, default=0, help="so many synthetic clips instead of the small release")
    source.add_argument("--lake", type=Path, help="a lake whose release is read instead")
    parser.add_argument("--format", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--loader", nargs="+", choices=LOADERS, default=LOADERS)
    parser.add_argument("--dir", type=Path, help="where exports lie and stay; of one source and size only")
    parser.add_argument("--quick", action="store_true", help="without torch where it is not installed")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    held = True
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as name:
        folder = (options.dir or Path(name)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for figure in cases(options, folder):
                show({"bench": "loaders", **figure}, options.json)
                held &= not figure.get("wrong")
        except Skip as why:
            show({"bench": "loaders", "skipped": str(why)}, options.json)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
