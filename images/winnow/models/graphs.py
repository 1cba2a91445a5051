"""Exported networks (ONNX) as sessions of onnxruntime: from checked bytes, on one thread, with all numbers inside.

Of the forms that hold network and numbers in one file, an ONNX graph is data: operators of a published list, which
onnxruntime knows or refuses. The graph is loaded from the very bytes whose digest was compared; one that keeps its
numbers in other files, which no digest covers, is refused.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from winnow.core.errors import ConfigError, ContractError
from winnow.models.weights import GRAPHS, Weights, verified_bytes

if TYPE_CHECKING:
    import onnxruntime


def session(folder: Path, weights: Weights, device: str) -> onnxruntime.InferenceSession:
    """A checkpoint's graph, ready to run; `device`: as the setting WINNOW_DEVICE. ConfigError for a file of another
    kind or a device that is not there, ContractError for one that is damaged or keeps its numbers elsewhere."""
    import onnxruntime

    where = place(folder, weights)
    if Path(weights.file).suffix.lower() not in GRAPHS:
        raise ConfigError(f"{where}: an exported graph is wanted ({', '.join(sorted(GRAPHS))}), not a checkpoint")
    data = verified_bytes(folder, weights)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    # A quantised graph as its operators say: kernels for 8 bits saturate on CPUs without VNNI, and answer otherwise.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        with tempfile.TemporaryDirectory(prefix="winnow-no-data-") as nowhere:
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", nowhere)
            return onnxruntime.InferenceSession(data, options, providers=providers(device))
    except Exception as error:  # its classes have no base of their own
        raise ContractError(
            f"{where} has the right digest and is no graph that onnxruntime {onnxruntime.__version__} runs from "
            f"this one file: {str(error).splitlines()[0][:300]}. Export it again, with its numbers inside"
        ) from error


def place(folder: Path, weights: Weights) -> str:
    """What to call a checkpoint in a message."""
    return f"{folder / weights.file} ({weights.kind}.{weights.name})"


def told(made: onnxruntime.InferenceSession) -> str:
    """What a graph takes and gives, for a message."""
    return ", ".join(f"{one.name} {one.type} {one.shape}" for one in (*made.get_inputs(), *made.get_outputs()))


def providers(device: str) -> list[str]:
    """Where onnxruntime runs for the setting WINNOW_DEVICE; ConfigError for one that is not there."""
    import onnxruntime

    there = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cpu" or (device == "auto" and not there):
        return ["CPUExecutionProvider"]
    if not there or device.partition(":")[0] not in ("auto", "cuda"):
        raise ConfigError(
            f"WINNOW_DEVICE={device}: this onnxruntime runs on {', '.join(onnxruntime.get_available_providers())}. Set "
            "WINNOW_DEVICE=cpu, or install its CUDA build (onnxruntime-gpu)"
        )
    return ["CUDAExecutionProvider"]
