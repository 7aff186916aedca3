"""ONNX files from the inside, without the package onnx: just enough of Protocol Buffers to read weights and to rewire a
graph. The numbers of fields are those of onnx.proto, which never change."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

Field = tuple[int, int | bytes]
"""Number and value: an integer, or the bytes of a string or of a message within."""

GRAPH = 7  # of a model
NODE, INITIALIZER, INPUT, OUTPUT, VALUE_INFO = 1, 5, 11, 12, 13  # of a graph
NODE_INPUT, NODE_OUTPUT, OPERATOR, ATTRIBUTE = 1, 2, 4, 5  # of a node
_DIMS, _DATA_TYPE, _TENSOR_NAME, _RAW_DATA = 1, 2, 8, 9  # of a tensor
_FLOAT, _INT64, _INTEGER = 1, 7, 2  # kinds of numbers in a tensor, and of an attribute

_VARINT, _BYTES = 0, 2  # how a field is written; the graphs we read know no other way


def fields(message: bytes) -> Iterator[Field]:
    """The fields of a message in their order. Raises ValueError where it is none."""
    at = 0
    while at < len(message):
        tag, at = _read_number(message, at)
        number, kind = tag >> 3, tag & 7
        value, at = _read_number(message, at)
        if kind == _BYTES and at + value <= len(message):
            yield number, message[at : at + value]
            at += value
        elif kind == _VARINT:
            yield number, value
        else:
            raise ValueError("not an ONNX file of the kind known here")


def message(parts: Iterable[Field]) -> bytes:
    """The bytes of a message with these fields."""
    written = bytearray()
    for number, value in parts:
        if isinstance(value, int):
            written += _number(number << 3 | _VARINT) + _number(value)
        else:
            written += _number(number << 3 | _BYTES) + _number(len(value)) + value
    return bytes(written)


def parts(message: bytes, number: int) -> list[bytes]:
    """The strings or messages within that have this number."""
    return [value for found, value in fields(message) if found == number and isinstance(value, bytes)]


def weights(model: bytes) -> dict[str, NDArray[np.float32]]:
    """The float32 tensors of a model, by name."""
    (graph,) = parts(model, GRAPH)
    found = {}
    for tensor in parts(graph, INITIALIZER):
        one = dict(fields(tensor))
        data = one.get(_RAW_DATA)
        if one.get(_DATA_TYPE) == _FLOAT and isinstance(data, bytes):
            (name,) = parts(tensor, _TENSOR_NAME)
            found[name.decode()] = np.frombuffer(data, np.float32).reshape(dimensions(tensor))
    return found


def dimensions(tensor: bytes) -> list[int]:
    return [value for number, value in fields(tensor) if number == _DIMS and isinstance(value, int)]


def name(tensor: bytes) -> str:
    """A tensor's name, as its model knows it."""
    return parts(tensor, _TENSOR_NAME)[0].decode()


def node(operator: str, inputs: Iterable[str], output: str, **integers: int) -> bytes:
    """A node of a graph, with attributes that are integers."""
    attributes = [message([(1, key.encode()), (3, value), (20, _INTEGER)]) for key, value in integers.items()]
    return message(
        [
            *((NODE_INPUT, one.encode()) for one in inputs),
            (NODE_OUTPUT, output.encode()),
            (OPERATOR, operator.encode()),
            *((ATTRIBUTE, one) for one in attributes),
        ]
    )


def integers(name: str, values: list[int]) -> bytes:
    """A tensor of int64, shape (n,)."""
    data = np.array(values, np.int64).tobytes()
    return message([(_DIMS, len(values)), (_DATA_TYPE, _INT64), (_TENSOR_NAME, name.encode()), (_RAW_DATA, data)])


def value(name: str, shape: Iterable[int | str]) -> bytes:
    """A float32 input or output of a graph; a dimension that varies has a name."""
    sizes = (message([(1, size) if isinstance(size, int) else (2, size.encode())]) for size in shape)
    tensor = message([(1, _FLOAT), (2, message((1, size) for size in sizes))])
    return message([(1, name.encode()), (2, message([(1, tensor)]))])


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    """A varint, and where it ends."""
    number = shift = 0
    while at < len(data):
        number |= (data[at] & 0x7F) << shift
        if data[at] < 0x80:
            return number, at + 1
        at, shift = at + 1, shift + 7
    raise ValueError("an ONNX file that ends too early")


def _number(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
