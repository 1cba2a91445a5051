#!/usr/bin/env bash
# One would guess that a quantised (QDQ) graph gives the same integers at every optimisation level, but for a step here
# and there: 8 bits times 8 bits, added up in 32, is exact. By default onnxruntime computes it with the instruction that
# adds two products in 16 bits and saturates, unless the CPU has VNNI: with int8 weights of the full range most outputs
# differ, here by up to 8 of 255 after one layer, and by ten logits after YAMNet's 27. session.disable_quant_qdq = "1"
# gives what the operators say; so do weights of 7 bits. onnxruntime's documentation of quantization, "Why did I see
# accuracy loss", names the instruction.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -q onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cat >"$scratch/show.py" <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as n


def graph(largest: int) -> bytes:
    """A convolution of uint8 pictures by int8 weights up to `largest`, written as QDQ."""
    weights = np.random.default_rng(0).uniform(-1, 1, (8, 64, 3, 3)).astype(np.float32)
    numbers = [
        n.from_array(weights, "w"), n.from_array(np.float32(1 / largest), "w_scale"), n.from_array(np.int8(0), "w_zero"),
        n.from_array(np.float32(1 / 255), "scale"), n.from_array(np.uint8(0), "zero"),
        n.from_array(np.float32(0.5), "y_scale"), n.from_array(np.uint8(128), "y_zero"),
    ]
    nodes = [
        h.make_node("DequantizeLinear", ["x", "scale", "zero"], ["plain"]),
        h.make_node("QuantizeLinear", ["w", "w_scale", "w_zero"], ["whole"]),
        h.make_node("DequantizeLinear", ["whole", "w_scale", "w_zero"], ["weights"]),
        h.make_node("Conv", ["plain", "weights"], ["sum"]),
        h.make_node("QuantizeLinear", ["sum", "y_scale", "y_zero"], ["y"]),
    ]
    given = h.make_tensor_value_info("x", T.UINT8, [1, 64, 16, 16])
    wanted = h.make_tensor_value_info("y", T.UINT8, None)
    made = h.make_graph(nodes, "g", [given], [wanted], numbers)
    return h.make_model(made, opset_imports=[h.make_opsetid("", 20)], ir_version=10).SerializeToString()


def run(data: bytes, plain: bool = False, **entries: str) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if plain:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    for key, value in entries.items():
        options.add_session_config_entry(f"session.{key}", value)
    pictures = np.random.default_rng(1).integers(128, 256, (1, 64, 16, 16)).astype(np.uint8)
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": pictures})[0].astype(int)


vnni = any("vnni" in line for line in open("/proc/cpuinfo") if line.startswith("flags"))
print(f"onnxruntime {ort.__version__}; this CPU has VNNI: {vnni}")
off = {}
for largest in (127, 64):
    said = run(graph(largest), plain=True)
    for name, entries in (("default", {}), ("disable_quant_qdq", {"disable_quant_qdq": "1"})):
        found = run(graph(largest), **entries)
        off[largest, name] = int(abs(found - said).max())
        print(f"weights up to {largest}, {name}: {(found != said).mean():.0%} of the outputs differ, by up to {off[largest, name]}")
if vnni:
    print("nothing to see on this CPU")
else:
    assert off[127, "default"] > 2, "it no longer saturates"
assert off[64, "default"] <= 1
assert off[127, "disable_quant_qdq"] <= 1
PYTHON
"$scratch/venv/bin/python" "$scratch/show.py"
