"""Writing nodes inside one of skl2onnx's conversion functions, in double precision."""

from typing import Any, Protocol

import numpy as np


class Writer(Protocol):
    """Where nodes go: one of skl2onnx's conversions, or a graph of our own."""

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output; returns the output's name."""

    def constant(self, value: Any) -> str:
        """A constant: float64, int64 or string, in the shape given."""


def places_above(writer: Writer, scores: str) -> str:
    """1 where the one score of a row is above 0, (rows,)."""
    from onnx import TensorProto

    above = writer.add("Cast", writer.add("Greater", scores, writer.constant(0.0)), to=TensorProto.INT64)
    return writer.add("Reshape", above, writer.constant(np.array([-1])))


class NodeWriter:
    """Adds nodes to skl2onnx's graph."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def add(self, op_type: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """A node with one output; returns the output's name."""
        name: str = output or self._scope.get_unique_variable_name(f"inner_{op_type}")
        self._container.add_node(
            op_type, list(inputs), name, name=self._scope.get_unique_operator_name(op_type), **attributes
        )
        return name

    def constant(self, value: Any) -> str:
        """A constant: float64, int64 or string, in the shape given."""
        from onnx import TensorProto

        array = np.asarray(value)
        types = {"f": TensorProto.DOUBLE, "i": TensorProto.INT64, "U": TensorProto.STRING}
        name: str = self._scope.get_unique_variable_name("constant")
        content = [str(text).encode() for text in array.ravel()] if array.dtype.kind == "U" else array.ravel().tolist()
        self._container.add_initializer(name, types[array.dtype.kind], list(array.shape), content)
        return name

    def finish(self, value: str, variable: Any) -> None:
        """End in one of the operator's outputs, of the type that it declares."""
        from skl2onnx.common.data_types import guess_proto_type

        self.add("Cast", value, output=variable.full_name, to=guess_proto_type(variable.type))

    def doubles(self, variable: Any) -> str:
        """One of the operator's inputs as doubles."""
        from onnx import TensorProto

        return self.add("Cast", variable.full_name, to=TensorProto.DOUBLE)

    def labels(self, index: str, classes: Any, variable: Any) -> None:
        """The classes at these places, as the operator's first output."""
        known = np.asarray(classes)
        known = known.astype(str if known.dtype.kind in "OUS" else np.int64)
        self.add("Gather", self.constant(known), index, output=variable.full_name, axis=0)
