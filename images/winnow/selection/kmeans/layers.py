"""Feature layers by name, `<stage>.<column>`, and their vectors out of stage tables.

A clustering compares a side that is seen with one that is heard. The built-in stages have five layers each; so do the
large pretrained ones, whose columns are `layer_0` … `layer_4`; the small ones have one, `embedding`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from winnow.core.errors import ConfigError, ContractError
from winnow.models.layers import AUDIO_LAYERS, VISUAL_LAYERS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_DEEP = tuple(f"layer_{i}" for i in range(5))
#: The layers of every stage that has some, by side.
SIDES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "visual": {
        "visual": tuple(layer.column for layer in VISUAL_LAYERS),
        "open_clip": _DEEP,
        "efficientnet": ("embedding",),
    },
    "audio": {"audio": tuple(layer.column for layer in AUDIO_LAYERS), "panns": _DEEP, "yamnet": ("embedding",)},
}


def chosen(side: str, names: Sequence[str]) -> tuple[str, ...]:
    """Layers of a side from names of stages (all their layers) and of layers, in the given order; ConfigError for one
    that is not there, that comes twice, or for none."""
    known = {f"{stage}.{column}" for stage, columns in SIDES[side].items() for column in columns}
    out: list[str] = []
    for name in names:
        found = [f"{name}.{column}" for column in SIDES[side].get(name, ())] or [name]
        if not set(found) <= known:
            raise ConfigError(
                f"{name!r} is no {side} layer: name stages ({', '.join(SIDES[side])}) or layers of theirs, "
                f"as in {sorted(known)[0]}"
            )
        out += found
    if not out or len(set(out)) != len(out):
        raise ConfigError(f"{side} layers: each once and at least one, not {', '.join(out) or 'none'}")
    return tuple(out)


def by_stage(layers: Sequence[str]) -> dict[str, list[str]]:
    """The columns to read, by stage."""
    out: dict[str, list[str]] = {}
    for layer in layers:
        stage, _, column = layer.partition(".")
        out.setdefault(stage, []).append(column)
    return out


def vectors(column: pa.ChunkedArray, layer: str) -> np.ndarray:
    """A column of lists of one length as an array (n, d) of its own type; ContractError where lengths differ or a value
    is missing."""
    import numpy as np

    array = column.combine_chunks()
    flat = array.flatten()
    width = len(flat) // len(array) if len(array) else 0
    if array.null_count or flat.null_count or width * len(array) != len(flat):
        raise ContractError(f"{layer}: measured rows with a vector missing, or of different lengths")
    if len(array) and not hasattr(array.type, "list_size"):
        lengths = np.diff(array.offsets.to_numpy())
        if (lengths != width).any():
            raise ContractError(f"{layer}: vectors of {lengths.min()} to {lengths.max()} values in one table")
    return flat.to_numpy(zero_copy_only=False).reshape(len(array), width)
