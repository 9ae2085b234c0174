"""What every kind of TensorFlow model comes down to: named tensors in and out, and someone to ask."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from packager.core.errors import ConverterMissing
from runtime.contract.dtypes import DTYPES, Datatype

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]
Arrays = dict[str, Array]
Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output.

    Attributes:
        shape: None is a free axis; the shape itself is None where the rank is unknown.
        tensor: Name in the graph that is converted.
    """

    name: str
    dtype: Datatype
    shape: Shape | None
    tensor: str = ""

    @property
    def free_rows(self) -> bool:
        """Whether the first axis counts rows."""
        return bool(self.shape) and self.shape is not None and self.shape[0] is None

    @property
    def free_axes(self) -> tuple[int, ...]:
        """Free axes behind the first."""
        return tuple(axis for axis, size in enumerate(self.shape or ()) if axis and size is None)


@dataclass(frozen=True, slots=True)
class Values:
    """What an integer or text input is looked up in.

    Attributes:
        limit: Whole numbers below it are in the table.
        known: The keys themselves, where it is no plain range.
    """

    limit: int | None = None
    known: tuple[int | str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A function of a model.

    Attributes:
        ask: Its answers by output name; inputs by name, in their types.
        emit: The graph in ONNX, for an opset, with the tensors of ``inputs`` and ``outputs`` under their own names.
        values: By input name, where the graph says it.
        example: Rows that came with the model.
        owner: What holds the variables; a function alone does not keep them from being deleted.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    ask: Callable[[Mapping[str, Array]], Arrays]
    emit: "Callable[[int], onnx.ModelProto]"
    values: Mapping[str, Values] = field(default_factory=dict)
    example: Arrays = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    owner: Any = None

    @property
    def free_rows(self) -> bool:
        """Whether all inputs share a free first axis."""
        return bool(self.inputs) and all(port.free_rows for port in self.inputs)


_BY_NAME: dict[str, Datatype] = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "int8": "INT8",
    "int16": "INT16", "int32": "INT32", "int64": "INT64", "float16": "FP16", "float32": "FP32", "float64": "FP64",
    "string": "BYTES",
}  # fmt: skip


def datatype(name: str, dtype: Any) -> Datatype:
    """The protocol's word for a type of TensorFlow, Keras or numpy.

    Raises:
        ConverterMissing: The protocol has none.
    """
    text = str(getattr(dtype, "name", dtype))
    if text not in _BY_NAME:
        raise ConverterMissing(
            f"{name!r} has the type {text}, which the inference protocol does not have",
            hint=f"the protocol has {', '.join(DTYPES)}; cast inside the model",
        )
    return _BY_NAME[text]


def unique_names(names: "list[str]", *, taken: "set[str] | None" = None) -> list[str]:
    """The names with numbers behind those that are there already: an ONNX graph has each name once."""
    seen = set(taken or ())
    made = []
    for name in names:
        wanted, number = name, 0
        while wanted in seen:
            number += 1
            wanted = f"{name}_{number}"
        seen.add(wanted)
        made.append(wanted)
    return made


def decoded(values: Array) -> Array:
    """Texts of TensorFlow as Python has them; other values as they are."""
    if values.dtype.kind not in "OS":
        return values
    flat = [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in values.ravel()]
    return np.array(flat, dtype=object).reshape(values.shape)
