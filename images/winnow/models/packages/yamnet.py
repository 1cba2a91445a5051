"""YAMNet's archive as one ONNX graph that gives its classes and what stands before them.

The archive holds a graph (8-bit weights and activations) and, beside it, the file that its numbers lie in, which no
digest of the graph alone would cover. Both become one file. Nothing is extracted to the disk.
"""

from __future__ import annotations

import io
from pathlib import PurePosixPath

from winnow.core.errors import ContractError
from winnow.models.packages.archive import members
from winnow.models.packages.onnx_graph import completed

#: What the classifier reads: 1,024 numbers, after the mean over time and frequency.
EMBEDDING = "/model/Reshape_output_0_qdq"


def graph(data: bytes, where: str, embedding: str = EMBEDDING) -> bytes:
    """The graph of an archive that holds one, with the tensor `embedding` among what it gives. ContractError, with
    `where`, for any other archive and for numbers that lie outside it."""
    files = members(io.BytesIO(data), where)
    graphs = [name for name in files.namelist() if name.endswith(".onnx")]
    if len(graphs) != 1:
        raise ContractError(f"{where} holds {len(graphs)} graphs, and one is wanted")
    folder = PurePosixPath(graphs[0]).parent
    beside = {
        str(PurePosixPath(name).relative_to(folder)): files.read(name)
        for name in files.namelist()
        if not name.endswith("/") and name != graphs[0] and PurePosixPath(name).is_relative_to(folder)
    }
    return completed(files.read(graphs[0]), beside, embedding, where)
