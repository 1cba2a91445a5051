"""EfficientNet-Lite0's checkpoint as an ONNX graph that gives its classes and what stands before them.

Lite: no squeeze-and-excite, and rectifiers that end at 6, for the sake of integers. Kernels and widths are read off the
tensors; what those do not tell stands here: strides, TensorFlow's padding (the odd pixel at the end) and the epsilon of
its normalisation. Source: the package efficientnet_lite_pytorch 0.1.0, whose network gives the same values (a test
compares, where torch is installed).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from winnow.core.errors import ContractError
from winnow.models.packages.onnx_graph import Graph

SIZE = 224
#: Blocks that halve the picture, as the stem does.
HALVING = (1, 3, 5, 11)
EPSILON = 1e-3
#: An older set of operators than any onnxruntime of today lacks.
OPSET = 13
INPUT, EMBEDDING, LOGITS = "pictures", "embedding", "logits"


def graph(tensors: Mapping[str, np.ndarray], where: str, size: int = SIZE, halving: tuple[int, ...] = HALVING) -> bytes:
    """The graph of a state dict: float32 (n, 3, size, size) → `embedding` (n, d) and `logits` (n, classes).
    ContractError, with `where`, where a tensor is missing or one is left over."""
    unused = {name for name in tensors if not name.endswith("num_batches_tracked")}
    made = Graph()
    made.tensor("zero", np.array(0, np.float32)), made.tensor("six", np.array(6, np.float32))

    def take(name: str) -> np.ndarray:
        unused.discard(name)
        return tensors[name]

    def normal(given: str, name: str) -> str:
        parts = [
            made.tensor(f"{name}.{p}", take(f"{name}.{p}")) for p in ("weight", "bias", "running_mean", "running_var")
        ]
        return made.node("BatchNormalization", [given, *parts], f"{name}.out", epsilon=EPSILON)

    def cut(given: str) -> str:
        return made.node("Clip", [given, "zero", "six"], f"{given}.relu6")

    def convolved(given: str, name: str, side: int, stride: int = 1, group: int = 1) -> tuple[str, int]:
        kernel = take(f"{name}.weight")
        left = -(-side // stride)
        pad = max((left - 1) * stride + kernel.shape[2] - side, 0)
        made.tensor(f"{name}.weight", kernel)
        out = made.node(
            "Conv",
            [given, f"{name}.weight"],
            f"{name}.out",
            dilations=[1, 1],
            group=group,
            kernel_shape=list(kernel.shape[2:]),
            pads=[pad // 2, pad // 2, pad - pad // 2, pad - pad // 2],
            strides=[stride, stride],
        )
        return out, left

    try:
        x, side = convolved(INPUT, "_conv_stem", size, 2)
        x, width = cut(normal(x, "_bn0")), len(tensors["_conv_stem.weight"])
        number = 0
        while f"_blocks.{number}._depthwise_conv.weight" in tensors:
            block, before, stride = f"_blocks.{number}.", x, 2 if number in halving else 1
            if f"{block}_expand_conv.weight" in tensors:
                x, _ = convolved(x, f"{block}_expand_conv", side)
                x = cut(normal(x, f"{block}_bn0"))
            channels = len(tensors[f"{block}_depthwise_conv.weight"])
            x, side = convolved(x, f"{block}_depthwise_conv", side, stride, channels)
            x = cut(normal(x, f"{block}_bn1"))
            x, _ = convolved(x, f"{block}_project_conv", side)
            x = normal(x, f"{block}_bn2")
            wide = len(tensors[f"{block}_project_conv.weight"])
            if stride == 1 and wide == width:
                x = made.node("Add", [x, before], f"{block}sum")
            width, number = wide, number + 1
        x, _ = convolved(x, "_conv_head", side)
        x = cut(normal(x, "_bn1"))
        x = made.node("GlobalAveragePool", [x], "pooled")
        x = made.node("Flatten", [x], EMBEDDING, axis=1)
        weight = made.tensor("_fc.weight", take("_fc.weight"))
        bias = made.tensor("_fc.bias", take("_fc.bias"))
        made.node("Gemm", [x, weight, bias], LOGITS, transB=1)
    except KeyError as error:
        raise ContractError(f"{where} is no EfficientNet-Lite: it has no tensor {error}") from error
    if unused:
        raise ContractError(f"{where} is no EfficientNet-Lite: {', '.join(sorted(unused)[:3])} have no place in it")
    classes, dim = tensors["_fc.weight"].shape
    return made.dumps((INPUT, ("n", 3, size, size)), [(EMBEDDING, dim), (LOGITS, classes)], OPSET)
