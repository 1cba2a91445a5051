#!/usr/bin/env bash
# One would guess: declaring a column of sound (`dtype: audio`) costs nothing until somebody decodes it, as with `dtype: video`.
# What happens (datasets 5.2.0): a WebDataset with a FLAC loads as `binary` and, with an MP4, as `video`; as `audio` the load
# itself ends with ImportError, since Audio.encode_example imports torchcodec before it looks whether there is anything to
# encode. A folder whose card says `audio` is therefore unreadable where torchcodec is not, whatever one wanted of it.
# Source: datasets/features/audio.py, encode_example.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q datasets==5.2.0
cat >"$work/run.py" <<'P'
import io, os, sys, tarfile
from importlib.metadata import version
from pathlib import Path

os.environ.update(HF_HOME=sys.argv[1] + "/hf", HF_HUB_OFFLINE="1")
from datasets import load_dataset

def outcome(kind, ext):
    at = Path(sys.argv[1]) / f"{kind}-{ext}"
    at.mkdir()
    with tarfile.open(at / "a.tar", "w") as tar:
        for name, data in (("1." + ext, b"fLaC or mp4"), ("1.json", b"{}")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    (at / "README.md").write_text(
        "---\nconfigs:\n- config_name: c\n  data_files:\n  - split: train\n    path: a.tar\ndataset_info:\n- config_name: c\n"
        f"  features:\n  - name: {ext}\n    dtype: {kind}\n---\n"
    )
    try:
        return f"{len(load_dataset(str(at), split='train'))} row"
    except Exception as error:
        return type(error.__cause__ or error).__name__

found = {kind: outcome(kind, ext) for kind, ext in (("binary", "flac"), ("video", "mp4"), ("audio", "flac"))}
print("datasets", version("datasets"), found)
sys.exit(found != {"binary": "1 row", "video": "1 row", "audio": "ImportError"})
P
"$work/venv/bin/python" "$work/run.py" "$work"
