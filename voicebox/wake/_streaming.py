"""Turns openWakeWord's embedding network into one for streams.

The original looks at 76 rows of spectrum (0.76 s) to give one embedding, and is asked every 80 ms, when only 8 of them
are new: it computes all but a tenth anew. Time passes through it in eleven convolutions over three rows each and in
poolings of which every hop fills whole ones. So it is enough for each of those convolutions to keep its last two rows:
they become inputs and outputs. Weights, order and rounding stay; 42 million multiplications become 5.6 million.
"""

from voicebox.wake import _onnxfile as onnx
from voicebox.wake._onnxfile import Field

BANDS = 34
"""Width of a row: 32 bands of the spectrum, with the zero on either side that the network pads them with."""
_KEPT = 2  # rows that a convolution over three needs of the past
_LAYERS = 20


def streaming(model: bytes) -> bytes:
    """The network for rows of shape (1, 1, 8 n, 34) and the rows kept, each (1, channels, 2, width): n embeddings,
    shape (1, 96, n, 1), and the rows to keep. Inputs and outputs have the same order. Raises ValueError if the
    model is another."""
    (graph,) = onnx.parts(model, onnx.GRAPH)
    rewired = onnx.message(_Rewired(graph).fields())
    return onnx.message((number, rewired if number == onnx.GRAPH else value) for number, value in onnx.fields(model))


class _Rewired:
    def __init__(self, graph: bytes) -> None:
        self._graph = graph
        self._shapes = {onnx.name(tensor): onnx.dimensions(tensor) for tensor in onnx.parts(graph, onnx.INITIALIZER)}
        self._nodes: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []
        self._width = BANDS
        self._convolutions = 0
        for node in onnx.parts(graph, onnx.NODE):
            self._take(node)
        if self._convolutions != _LAYERS or self._width != 1:
            raise ValueError("not openWakeWord's embedding network")

    def fields(self) -> list[Field]:
        changed = (onnx.NODE, onnx.INPUT, onnx.OUTPUT, onnx.VALUE_INFO)
        return [
            *((onnx.NODE, node) for node in self._nodes),
            *(field for field in onnx.fields(self._graph) if field[0] not in changed),
            *((onnx.INITIALIZER, onnx.integers(name, [at])) for name, at in _SLICE.items()),
            *((onnx.INPUT, one) for one in self._inputs),
            *((onnx.OUTPUT, one) for one in self._outputs),
        ]

    def _take(self, node: bytes) -> None:
        (operator,) = onnx.parts(node, onnx.OPERATOR)
        if operator in (b"Pad", b"Reshape"):
            return  # rows come padded, in the order of the convolutions
        if operator == b"MaxPool":
            self._width //= 2
        self._nodes.append(self._convolution(node) if operator == b"Conv" else node)

    def _convolution(self, node: bytes) -> bytes:
        """One over time gets the rows kept before the new ones, and gives its last ones."""
        source, weights = (name.decode() for name in onnx.parts(node, onnx.NODE_INPUT)[:2])
        _, channels, rows, across = self._shapes[weights]
        (output,) = onnx.parts(node, onnx.NODE_OUTPUT)
        if not self._convolutions:
            self._inputs.append(onnx.value(source, [1, channels, "rows", self._width]))
        self._convolutions += 1
        if self._convolutions == _LAYERS:
            self._outputs.insert(0, onnx.value(output.decode(), [1, 96, "hops", 1]))
        if rows == 1:
            return node
        kept, both, keep = (f"{name}_{self._convolutions}" for name in ("kept", "both", "keep"))
        shape = [1, channels, _KEPT, self._width]
        self._nodes += [
            onnx.node("Concat", [kept, source], both, axis=2),
            onnx.node("Slice", [both, *_SLICE], keep),
        ]
        self._inputs.append(onnx.value(kept, shape))
        self._outputs.append(onnx.value(keep, shape))
        self._width -= across - 1
        return onnx.message([(onnx.NODE_INPUT, both.encode()), *list(onnx.fields(node))[1:]])


_SLICE = {"last_rows": -_KEPT, "to_the_end": 2**62, "of_time": 2}
"""Where the rows to keep begin and end, and on which axis."""
