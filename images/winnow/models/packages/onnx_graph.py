"""ONNX graphs as what they are on the disk, protocol buffers: written, and changed, without the library `onnx`.

A converter needs few of the format's fields (onnx.proto, IR version 11; the numbers below are the fields'), and a
message that is written field by field in the order of their numbers has the same bytes everywhere: those that `onnx`
1.23.2 gives, a test compares. So whoever installs a checkpoint needs no further package, and its digest can be stated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from winnow.core.errors import ContractError

FLOAT = 1
#: Fields of ModelProto, GraphProto, TensorProto.
GRAPH, INITIALIZER, OUTPUT, VALUE_INFO = 7, 5, 12, 13
RAW, EXTERNAL, LOCATION = 9, 13, 14
#: Kinds of values on the wire: a number, eight bytes, bytes with their length, four bytes.
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5

Field = tuple[int, int | bytes]


def varint(value: int) -> bytes:
    """A number as protocol buffers write it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | str | bytes) -> bytes:
    """One field: a number, or a text or message with its length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | _BYTES) + varint(len(data)) + data


def message(fields: Sequence[Field]) -> bytes:
    """A message of fields in the order of their numbers, those of one number as they come."""
    return b"".join(field(number, value) for number, value in sorted(fields, key=lambda one: one[0]))


def fields(data: bytes) -> Iterator[Field]:
    """The fields of a message whose values are numbers or bytes; ValueError for anything else."""
    at = 0

    def number() -> int:
        nonlocal at
        out = shift = 0
        while True:
            if at >= len(data) or shift > 63:
                raise ValueError("it ends inside a number")
            out |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 0x80:
                return out

    while at < len(data):
        key = number()
        if key & 7 == _VARINT:
            yield key >> 3, number()
        elif key & 7 == _BYTES:
            length = number()
            if at + length > len(data):
                raise ValueError("it ends inside a message")
            yield key >> 3, data[at : at + length]
            at += length
        else:
            raise ValueError(f"field {key >> 3} is of kind {key & 7}")


def _message(value: int | str | bytes) -> bytes:
    """A field's value that is a message or a text; ValueError for a number."""
    if not isinstance(value, bytes):
        raise ValueError(f"it has {value!r} where a message should be")
    return value


def _fields(value: int | str | bytes) -> Iterator[Field]:
    return fields(_message(value))


def completed(model: bytes, beside: Mapping[str, bytes], output: str, where: str) -> bytes:
    """A graph that gives the tensor `output` too, and has in itself all numbers that it kept in files.

    beside: those files by name. ContractError, with `where`, for numbers in any other file or outside one, a tensor
    that the graph does not describe, or a file that is no graph.
    """
    try:
        outer = list(fields(model))
        (graph,) = (list(_fields(value)) for number, value in outer if number == GRAPH)
        described = {dict(_fields(value)).get(1): value for number, value in graph if number == VALUE_INFO}
        if output.encode() not in described:
            raise ValueError(f"it has no tensor {output!r}")
        inside = [
            (number, _inside(_message(value), beside) if number == INITIALIZER else value)
            for number, value in [*graph, (OUTPUT, described[output.encode()])]
        ]
        return message([(number, message(inside) if number == GRAPH else value) for number, value in outer])
    except (ValueError, TypeError, UnicodeDecodeError) as error:
        raise ContractError(f"{where} is not the graph that is known: {error}") from error


def _inside(tensor: bytes, beside: Mapping[str, bytes]) -> bytes:
    """A tensor with its numbers in itself; ValueError where they are in a file that is not there."""
    known = list(fields(tensor))
    if (LOCATION, 1) not in known:
        return tensor
    entries = {}
    for number, value in known:
        if number == EXTERNAL:
            entry = dict(_fields(value))
            entries[_message(entry[1]).decode()] = _message(entry[2]).decode()
    name, at, length = entries.get("location"), int(entries.get("offset", 0)), int(entries.get("length", -1))
    if name is None or name not in beside:
        raise ValueError(f"it keeps numbers in {name!r}, which is not part of it")
    if min(at, length) < 0 or at + length > len(beside[name]):
        raise ValueError(f"it wants bytes {at} to {at + length} of {name!r}, which has {len(beside[name])}")
    kept = [one for one in known if one[0] not in (EXTERNAL, LOCATION)]
    return message([*kept, (RAW, beside[name][at : at + length]), (LOCATION, 0)])


class Graph:
    """A network while it is written: nodes in the order in which they are computed, and their numbers."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.tensors: list[bytes] = []

    def tensor(self, name: str, values: np.ndarray) -> str:
        """Keep numbers, float32, under a name."""
        dims = b"".join(field(1, size) for size in values.shape)
        raw = field(RAW, np.ascontiguousarray(values, "<f4").tobytes())
        self.tensors.append(dims + field(2, FLOAT) + field(8, name) + raw)
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: int | float | Sequence[int]) -> str:
        """Add an operator; the name of what it gives. attributes: whole numbers, fractions, lists of whole numbers."""
        named = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind)
        self.nodes.append(named + b"".join(field(5, _attribute(k, v)) for k, v in sorted(attributes.items())))
        return output

    def dumps(self, given: tuple[str, tuple[int | str, ...]], wanted: Sequence[tuple[str, int]], opset: int) -> bytes:
        """The file: `given`, the name and shape of what it takes, a text being a size that may vary; `wanted`: names
        and widths of what it gives, one row for each that it takes."""
        name, shape = given
        graph = (
            b"".join(field(1, node) for node in self.nodes)
            + field(2, "winnow")
            + b"".join(field(5, tensor) for tensor in self.tensors)
            + field(11, _value(name, shape))
            + b"".join(field(12, _value(out, (shape[0], width))) for out, width in wanted)
        )
        return field(1, 8) + field(2, "winnow") + field(7, graph) + field(8, field(1, "") + field(2, opset))


def _attribute(name: str, value: int | float | Sequence[int]) -> bytes:
    if isinstance(value, float):
        return field(1, name) + varint(2 << 3 | _FOUR) + np.float32(value).astype("<f4").tobytes() + field(20, 1)
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, 2)
    return field(1, name) + b"".join(field(8, one) for one in value) + field(20, 7)


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(field(1, field(2, size) if isinstance(size, str) else field(1, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, dims)))
