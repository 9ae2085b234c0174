"""ONNX nodes being written, and the values between them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from packager.core.errors import ConverterMissing

BATCH = "batch"
Probe = Callable[[int], NDArray[Any]]
_ONNX = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}
END = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence axis.

    Attributes:
        name: CNTK's; values of one name have equal lengths.
        lengths: INT64 tensor (batch,), where sequences are padded; None where all are of one length.
    """

    name: str
    lengths: str | None = None


@dataclass(frozen=True, slots=True)
class Free:
    """A static axis whose size is known when the model runs: that of an unpacked sequence."""

    name: str


Size = int | Free


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph.

    Attributes:
        name: The ONNX tensor, of shape (batch, sequence, …shape), as far as the value has these axes.
        shape: Static axes, the slowest first.
        batch: Whether it has a batch axis.
        sequence: Its sequence axis.
        constant: The values where they are known, of shape ``shape``.
        probe: The values of a sequence of T items, where they depend on T alone.
    """

    name: str
    shape: tuple[Size, ...]
    batch: bool = False
    sequence: Sequence | None = None
    dtype: str = "float32"
    constant: NDArray[Any] | None = None
    probe: Probe | None = None

    @property
    def lead(self) -> int:
        """How many dynamic axes come before the static ones."""
        return int(self.batch) + int(self.sequence is not None)

    def like(self, name: str, shape: Iterable[Size] | None = None) -> "Value":
        """Another tensor with the same dynamic axes."""
        kept = self.shape if shape is None else tuple(shape)
        return Value(name, kept, self.batch, self.sequence, self.dtype)


class Names:
    """Unique names of one model's tensors; those of inputs and outputs have no slash."""

    def __init__(self) -> None:
        self._count = 0

    def next(self, stem: str) -> str:
        """A name that is new."""
        self._count += 1
        return f"{stem}/{self._count}"


class Emitter:
    """Writes nodes to one graph; those of inner graphs share names and constants with the outer one."""

    def __init__(self, outer: "Emitter | None" = None) -> None:
        self.nodes: list[NodeProto] = []
        self.names: Names = outer.names if outer else Names()
        self.initializers: dict[str, TensorProto] = outer.initializers if outer else {}
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = outer._known if outer else {}
        self.masks: dict[str, str] = {}
        # What conditions choose, by the name of the value that stands for it.
        self.selections: dict[str, Any] = {}

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node; the name of its first output."""
        return self.nodes_outputs(op, *inputs, outputs=outputs, **attributes)[0]

    def nodes_outputs(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        """Add a node; the names of all its outputs."""
        name = self.names.next(op.lower())
        made = [name] if outputs == 1 else [f"{name}/{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), made, name=name, **attributes))
        return made

    def array(self, values: Any, dtype: str) -> str:
        """An initializer; small equal ones are shared."""
        made = np.ascontiguousarray(values, dtype=dtype).reshape(np.shape(values))
        key = (dtype, made.shape, made.tobytes() if made.size <= 64 else b"")
        if made.size <= 64 and key in self._known:
            return self._known[key]
        name = self.names.next("constant")
        self.initializers[name] = numpy_helper.from_array(made, name)
        if made.size <= 64:
            self._known[key] = name
        return name

    def ints(self, *values: int) -> str:
        """A vector of whole numbers."""
        return self.array(list(values), "int64")

    def cast(self, name: str, dtype: str) -> str:
        """The tensor in another type."""
        return self.node("Cast", name, to=_ONNX[dtype])

    def constant(self, values: NDArray[Any]) -> Value:
        """A value that is known."""
        return Value(self.array(values, str(values.dtype)), values.shape, dtype=str(values.dtype), constant=values)


def sizes(value: Value) -> tuple[int, ...]:
    """The static shape, where all of it is known now.

    Raises:
        ConverterMissing: An axis is that of an unpacked sequence.
    """
    known = [size for size in value.shape if isinstance(size, int)]
    if len(known) != len(value.shape):
        raise ConverterMissing(
            "the operator works on an axis that came from a sequence, whose size is not known",
            hint="reduce over that axis first, or leave the sequence packed",
        )
    return tuple(known)


def size_vector(emitter: Emitter, value: Value, shape: Iterable[Size], *, source: Value | None = None) -> str:
    """An ONNX shape: the dynamic axes of ``value``, then ``shape``; free sizes are looked up in ``source``."""
    wanted = tuple(shape)
    if all(isinstance(size, int) for size in wanted):
        return emitter.ints(*[0] * value.lead, *[size for size in wanted if isinstance(size, int)])
    origin = source or value
    whole = emitter.node("Shape", origin.name)
    parts = []
    if value.lead:
        parts.append(emitter.ints(*[0] * value.lead))
    for size in wanted:
        if isinstance(size, int):
            parts.append(emitter.ints(size))
        else:
            place = origin.lead + origin.shape.index(size)
            parts.append(emitter.node("Slice", whole, emitter.ints(place), emitter.ints(place + 1)))
    return emitter.node("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]


def reshaped(emitter: Emitter, value: Value, shape: Iterable[Size]) -> Value:
    """The value with other static axes of the same total size."""
    wanted = tuple(shape)
    if wanted == value.shape:
        return value
    if value.constant is not None:
        return emitter.constant(value.constant.reshape([size for size in wanted if isinstance(size, int)]))
    return value.like(emitter.node("Reshape", value.name, size_vector(emitter, value, wanted)), wanted)


def with_axes_of(emitter: Emitter, value: Value, other: Value) -> Value:
    """The value as ONNX broadcasts it against ``other``'s dynamic axes: ones where it has none."""
    if value.lead == 0 or value.lead == other.lead:
        return value
    if other.sequence is not None and value.batch and value.sequence is None:
        name = emitter.node("Unsqueeze", value.name, emitter.ints(1))
        return replace(value, name=name, sequence=other.sequence, probe=None)
    return value


def expanded(emitter: Emitter, value: Value, like: Value, shape: Iterable[Size] | None = None) -> Value:
    """The value with all dynamic axes of ``like`` written out, and with ``shape``."""
    wanted = value.shape if shape is None else tuple(shape)
    aligned = of_rank(emitter, with_axes_of(emitter, value, like), len(wanted))
    whole = emitter.node("Shape", like.name)
    head = emitter.node("Slice", whole, emitter.ints(0), emitter.ints(like.lead)) if like.lead else None
    parts = [] if head is None else [head]
    origin = value if any(isinstance(size, Free) for size in value.shape) else like
    for size in wanted:
        if isinstance(size, int):
            parts.append(emitter.ints(size))
        else:
            place = origin.lead + origin.shape.index(size)
            inner = whole if origin is like else emitter.node("Shape", origin.name)
            parts.append(emitter.node("Slice", inner, emitter.ints(place), emitter.ints(place + 1)))
    target = emitter.node("Concat", *parts, axis=0) if len(parts) > 1 else (parts[0] if parts else emitter.ints())
    name = emitter.node("Expand", aligned.name, target)
    return Value(name, wanted, like.batch, like.sequence, value.dtype)


def of_rank(emitter: Emitter, value: Value, rank: int) -> Value:
    """The value with ones before its static axes, so that it has ``rank`` of them."""
    short = rank - len(value.shape)
    if short <= 0:
        return value
    shape = (1,) * short + value.shape
    if value.lead == 0:
        if value.constant is not None:
            return emitter.constant(value.constant.reshape((1,) * short + value.constant.shape))
        axes = emitter.ints(*range(short))
    else:
        axes = emitter.ints(*range(value.lead, value.lead + short))
    return replace(value, name=emitter.node("Unsqueeze", value.name, axes), shape=shape, constant=None, probe=None)
