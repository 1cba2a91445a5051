#!/usr/bin/env bash
# One would guess: writing a tar of files needs tarfile and no more; webdataset's own words (torch_dumps: "delays importing
# torch until needed") say that torch comes in where a tensor is written or a loader is made.
# What happens (webdataset 1.0.2): `import webdataset` tries `from torch.utils.data import …` at module level, so that each
# process which writes one shard of bytes imports all of torch where it is installed (2 to 3 s of CPU a process), and
# none where it is not. A stand-in for torch that only says that it was imported shows it here.
# Source: webdataset/pytorch.py, imported by compat.py and pipeline.py.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q webdataset==1.0.2 numpy==2.4.6
mkdir -p "$work/standin/torch/utils"
echo 'class Tensor: pass' >"$work/standin/torch/__init__.py"
touch "$work/standin/torch/utils/__init__.py"
printf 'class DataLoader: pass\nclass IterableDataset: pass\n' >"$work/standin/torch/utils/data.py"
cat >"$work/run.py" <<'P'
import sys
from importlib.metadata import version
import webdataset
with webdataset.TarWriter(sys.argv[1]) as tar:
    tar.write({"__key__": "a", "txt": b"bytes alone"})
found = "torch.utils.data" in sys.modules
print("webdataset", version("webdataset"), "wrote a tar of bytes; torch was imported:", found)
sys.exit(not found)
P
PYTHONPATH="$work/standin" "$work/venv/bin/python" "$work/run.py" "$work/a.tar"
