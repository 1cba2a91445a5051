#!/usr/bin/env bash
# One would guess: each entry of a card's `configs:` names its own files, so a folder may offer tars under one name and Parquet
# under another.
# What happens (datasets 5.2.0): which loader reads a folder is told once, from the data files of the first config, and all
# others are read by it: Parquet beside tars ends in "ReadError: invalid header", and the same two configs in the other
# order fail on the tars. A folder of its own, with a card of its own, is read.
# Source: datasets/load.py, LocalDatasetModuleFactory.get_module.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q datasets==5.2.0
cat >"$work/run.py" <<'P'
import io, os, sys, tarfile
from importlib.metadata import version
from pathlib import Path

os.environ.update(HF_HOME=sys.argv[1] + "/hf", HF_HUB_OFFLINE="1")
import pyarrow as pa, pyarrow.parquet as pq
from datasets import load_dataset

FILES = {"tars": "a.tar", "table": "b.parquet"}

def reads(order):
    at = Path(sys.argv[1]) / "-".join(order)
    at.mkdir()
    with tarfile.open(at / "a.tar", "w") as tar:
        member = tarfile.TarInfo("1.json")
        member.size = 2
        tar.addfile(member, io.BytesIO(b"{}"))
    pq.write_table(pa.table({"x": [1]}), at / "b.parquet")
    configs = "".join(f"- config_name: {n}\n  data_files:\n  - split: train\n    path: {FILES[n]}\n" for n in order)
    (at / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    found = {}
    for name in order:
        try:
            found[name] = f"{len(load_dataset(str(at), name, split='train'))} row"
        except Exception as error:
            found[name] = type(error.__cause__ or error).__name__
    return found

found = [reads(("tars", "table")), reads(("table", "tars"))]
print("datasets", version("datasets"), found)
sys.exit(not all(list(one.values())[0] == "1 row" and list(one.values())[1] != "1 row" for one in found))
P
"$work/venv/bin/python" "$work/run.py" "$work"
