"""A checkpoint that torch saved before 2020's zip format, as NumPy arrays: without torch, and without trusting it.

Such a file is five pickles (a magic number, a version, the machine's sizes, the tensors, the keys of their storages)
and then every storage's numbers. A pickle is a program; this one may call what makes an ordered dict, a tensor out of a
storage, and nothing else: any other name that it asks for is refused before it is looked up. Numbers are those of
little-endian machines.
"""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from winnow.core.errors import ContractError

MAGIC = 0x1950A86A20F9469CFC6C
#: Storages by torch's name.
STORAGES = {"FloatStorage": np.float32, "LongStorage": np.int64}


@dataclass
class _Storage:
    """Numbers of one kind that tensors are views of: filled once its key is reached."""

    kind: str
    size: int
    values: np.ndarray | None = None


@dataclass(frozen=True)
class _View:
    """A tensor before its storage is filled."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild(storage: object, offset: Any, shape: Any, stride: Any, *_more: object) -> _View:
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _View(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


class _Tensors(pickle.Unpickler):
    """Knows three names, and storages by their keys."""

    def __init__(self, file: io.BytesIO, storages: dict[str, _Storage]) -> None:
        super().__init__(file)
        self.storages = storages

    def find_class(self, module: str, name: str) -> object:
        """What a name stands for; UnpicklingError for all but three kinds of names."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in STORAGES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        """The storage that a tensor is a view of."""
        what, kind, key, _place, size, view = pid
        if what != "storage" or kind not in STORAGES or view is not None:
            raise pickle.UnpicklingError(f"it refers to {what!r} of {kind!r}")
        return self.storages.setdefault(str(key), _Storage(kind, int(size)))


def arrays(data: bytes, where: str) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name. ContractError, with `where`, for a file that is damaged, of another form,
    or asks for anything but tensors."""
    storages: dict[str, _Storage] = {}
    file = io.BytesIO(data)
    try:
        magic, _version, machine, state, keys = (_Tensors(file, storages).load() for _ in range(5))
        if magic != MAGIC or not machine["little_endian"]:
            raise pickle.UnpicklingError("it is of another form")
        for key in keys:
            storage = storages[key]
            count = int.from_bytes(file.read(8), "little")
            dtype = np.dtype(STORAGES[storage.kind]).newbyteorder("<")
            if count != storage.size:
                raise pickle.UnpicklingError(f"storage {key} has {count} numbers, and not {storage.size}")
            storage.values = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
        return {str(name): _array(view) for name, view in state.items()}
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ContractError(f"{where} is no checkpoint of tensors and nothing else: {error}") from error


def _array(view: _View) -> np.ndarray:
    """A contiguous copy of a view; IndexError for one that leaves its storage."""
    values = view.storage.values
    last = view.offset + sum((size - 1) * step for size, step in zip(view.shape, view.stride, strict=True))
    if values is None or min((view.offset, *view.shape, *view.stride), default=0) < 0:
        raise IndexError("a tensor of no storage")
    if math.prod(view.shape) and last >= len(values):
        raise IndexError(f"a tensor that ends at {last} of {len(values)} numbers")
    step = values.itemsize
    strided = np.lib.stride_tricks.as_strided(
        values[view.offset :], view.shape, [one * step for one in view.stride], writeable=False
    )
    return np.array(strided)
