"""Tiny ONNX graphs, written without the library `onnx`: a graph is a protocol buffer, and a flattening matrix product
needs few of its fields (onnx.proto, release 1.16: the numbers are the fields')."""

from __future__ import annotations

import numpy as np

from winnow.models.packages.onnx_graph import field

FLOAT, INT64 = 1, 7


def tensor(name: str, values: np.ndarray, outside: str = "") -> bytes:
    """A TensorProto of float32; with `outside`, one whose numbers lie in that file beside the graph."""
    dims = b"".join(field(1, size) for size in values.shape)
    if outside:
        entries = {"location": outside, "offset": "0", "length": str(values.nbytes)}
        data = b"".join(field(13, field(1, key) + field(2, value)) for key, value in entries.items()) + field(14, 1)
    else:
        data = field(9, values.astype("<f4").tobytes())
    return dims + field(2, FLOAT) + field(8, name) + data


def value_info(name: str, shape: tuple[int | str, ...]) -> bytes:
    """A ValueInfoProto: a float32 tensor; a text is a size that may vary."""
    dims = b"".join(field(1, field(2, size) if isinstance(size, str) else field(1, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, dims)))


def node(kind: str, inputs: tuple[str, ...], output: str, domain: str = "") -> bytes:
    """A NodeProto without attributes."""
    named = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind)
    return named + (field(7, domain) if domain else b"")


def linear(
    shape: tuple[int, ...], weights: np.ndarray, *, outside: str = "", operator: str = "MatMul", domain: str = ""
) -> bytes:
    """A ModelProto: float32 (n, *shape) → flattened @ weights, (n, d)."""
    graph = (
        field(1, node("Flatten", ("rows",), "flat"))
        + field(1, node(operator, ("flat", "weights"), "vectors", domain))
        + field(2, "linear")
        + field(5, tensor("weights", weights, outside))
        + field(11, value_info("rows", ("n", *shape)))
        + field(12, value_info("vectors", ("n", weights.shape[1])))
    )
    domains = field(8, field(1, "") + field(2, 17)) + (field(8, field(1, domain) + field(2, 1)) if domain else b"")
    return field(1, 8) + domains + field(7, graph)
