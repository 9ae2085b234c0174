"""Writing ONNX nodes for transformers, in double precision, on columns that keep their own types."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper

from packager.core.errors import ConverterMissing

Kind = Literal["number", "string"]
Array = NDArray[Any]
_SINCE_20 = frozenset({"RegexFullMatch", "StringConcat"})
_ELEMENTS = {"f": TensorProto.DOUBLE, "i": TensorProto.INT64, "b": TensorProto.BOOL, "U": TensorProto.STRING}


@dataclass(frozen=True, slots=True)
class Half:
    """What some booleans became in float16: they have few values, so that numpy itself says what they are.

    Attributes:
        place: Which combination of booleans a row has, (rows,).
        table: The values of each combination, (combinations, columns), of the type that numpy has them in.
    """

    place: str
    table: Array


@dataclass(frozen=True, slots=True)
class Block:
    """Columns side by side in one ONNX value of shape (rows, width): doubles, or strings where "" is missing.

    Attributes:
        exact: Its values are the source's to the last bit.
        flags: They are booleans, for which numpy has other arithmetic.
        half: Where they are float16 to the source, which goes on in float16.
    """

    value: str
    width: int
    kind: Kind = "number"
    exact: bool = False
    flags: bool = False
    half: Half | None = None


# What flows from step to step: the columns of a frame, in order.
Frame = tuple[Block, ...]


@dataclass(slots=True)
class Emitter:
    """Collects nodes and constants; every value gets a name of its own.

    Attributes:
        subgraph: Converts a numeric transformer that has no emitter here, from (emitter, step, double matrix, path).
        outputs: Likewise the outputs of an estimator that predicts: label or number, then scores.
        sparse: Identities of estimators to which a zero is a missing value.
    """

    subgraph: Callable[["Emitter", Any, str, str], Block]
    outputs: Callable[["Emitter", Any, str, str], list[str]]
    sparse: frozenset[int] = frozenset()
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)
    opsets: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def fresh(self, stem: str) -> str:
        """A name that nothing else has; a slash keeps it apart from columns and outputs."""
        self._count += 1
        return f"frame/{stem}_{self._count}"

    def add(self, op_type: str, *inputs: str, domain: str = "", label: str | None = None, **attributes: Any) -> str:
        """A node with one output; returns the output's name. ``label`` is what its run-time errors show."""
        output = self.fresh(op_type)
        name = f"{label} ({output})" if label else output
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], name=name, domain=domain, **attributes))
        if op_type in _SINCE_20:
            self.opsets[""] = 20
        if domain:
            self.opsets[domain] = 1 if domain == "com.microsoft" else 3
        return output

    def constant(self, value: Any) -> str:
        """A constant: float64, int64, bool or string, in the shape given."""
        array = np.asarray(value)
        array = array.astype({"u": np.int64, "i": np.int64, "f": np.float64}.get(array.dtype.kind, array.dtype))
        name = self.fresh("constant")
        content: Any = [str(text).encode() for text in array.ravel()] if array.dtype.kind == "U" else array.ravel()
        self.initializers.append(helper.make_tensor(name, _ELEMENTS[array.dtype.kind], array.shape, content))
        return name

    def cast(self, value: str, to: int) -> str:
        """The value in another element type."""
        return self.add("Cast", value, to=to)

    def matrix(self, frame: Frame, path: str) -> str:
        """All columns as one matrix of doubles.

        Raises:
            ConverterMissing: A column of text reaches a step that takes numbers.
        """
        if any(block.kind == "string" for block in frame):
            raise ConverterMissing(
                f"a column of text reaches {path or 'the estimator'} as text",
                hint="encode it before, as with OneHotEncoder, OrdinalEncoder or TfidfVectorizer",
            )
        if not frame:
            raise ConverterMissing(f"no column is left for {path or 'the estimator'}", hint="keep at least one feature")
        return frame[0].value if len(frame) == 1 else self.add("Concat", *(block.value for block in frame), axis=1)


def width_of(frame: Frame) -> int:
    """How many columns a frame has."""
    return sum(block.width for block in frame)


def picked(emitter: Emitter, frame: Frame, indices: Sequence[int]) -> Frame:
    """Some columns of a frame, in the order given; neighbours in one value stay together."""
    places = [(block, inner) for block in frame for inner in range(block.width)]
    runs: list[tuple[Block, list[int]]] = []
    for index in indices:
        block, inner = places[int(index)]
        if runs and runs[-1][0] is block:
            runs[-1][1].append(inner)
        else:
            runs.append((block, [inner]))
    return tuple(_gathered(emitter, block, inner) for block, inner in runs)


def _gathered(emitter: Emitter, block: Block, inner: list[int]) -> Block:
    if inner == list(range(block.width)):
        return block
    value = emitter.add("Gather", block.value, emitter.constant(np.array(inner, np.int64)), axis=1)
    half = None if block.half is None else replace(block.half, table=block.half.table[:, inner])
    return replace(block, value=value, width=len(inner), half=half)


def numbers(value: str, width: int, *, exact: bool = False) -> Frame:
    """A frame of one matrix of doubles."""
    return (Block(value, width, exact=exact),)


def is_exact(frame: Frame) -> bool:
    """Whether every value is the source's to the last bit."""
    return all(block.exact for block in frame)
