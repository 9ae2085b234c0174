"""The operators that dray translates, by MXNet's names; each is held to recorded answers of MXNet 1.9.1."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from packager.converters.mxnet.attributes import Attribute
from packager.converters.mxnet.sizes import Size, size
from packager.converters.mxnet.values import FLOAT, SizeBound, SizeNeeded, Value
from packager.converters.mxnet.writer import GraphWriter
from packager.core.errors import ConverterMissing, ModelInvalid

Values = tuple[Value, ...]
# Of one row; a hostile file must not make the graph take all memory when it runs.
_MOST_NUMBERS = 1 << 28


@dataclass(frozen=True, slots=True)
class Call:
    """One node that is being translated: its attributes, its inputs, and where its translation goes."""

    op: str
    name: str
    attributes: dict[str, Attribute]
    inputs: Values
    graph: GraphWriter

    def integer(self, name: str) -> int:
        """An attribute that is a whole number."""
        value = self.attributes[name]
        if not isinstance(value, int):
            self.refuse(f"has {name}={value!r}, which is no whole number")
        return value

    def number(self, name: str) -> float:
        """An attribute that is a number."""
        value = self.attributes[name]
        if not isinstance(value, int | float):
            self.refuse(f"has {name}={value!r}, which is no number")
        return float(value)

    def maybe(self, name: str) -> int | None:
        """An attribute that is a whole number or None."""
        return None if self.attributes[name] is None else self.integer(name)

    def flag(self, name: str) -> bool:
        """An attribute that is true or false; None counts as false."""
        return bool(self.attributes[name])

    def text(self, name: str) -> str:
        """An attribute that is one of several words."""
        return str(self.attributes[name])

    def numbers(self, name: str) -> tuple[int, ...]:
        """An attribute that is a list of whole numbers, none of them None."""
        value = self.attributes[name]
        if value is None:
            return ()
        if not isinstance(value, tuple) or any(item is None for item in value):
            self.refuse(f"has a None in {name!r}")
        return tuple(int(item) for item in value if item is not None)

    def axis(self, name: str = "axis", *, rank: int | None = None) -> int:
        """An attribute that counts axes, from 0."""
        return self.nonnegative_axis(self.integer(name), self.inputs[0].rank if rank is None else rank)

    def nonnegative_axis(self, axis: int, rank: int) -> int:
        """An axis counted from 0."""
        if not -rank <= axis < rank:
            raise ModelInvalid(
                f"the {self.op} node {self.name!r} names axis {axis} of a tensor with {rank} axes",
                hint="check the shapes after --input, or export the model again",
            )
        return axis % rank

    def refuse(self, why: str, hint: str = "") -> NoReturn:
        """Stop here, by name."""
        raise ConverterMissing(
            f"the {self.op} node {self.name!r} {why}",
            hint=hint or "docs/mxnet.md lists what was verified against MXNet; build the model without it",
        )

    def emit(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Name of the one output of a new ONNX node."""
        return self.graph.emit(op, inputs, scope=self.name, **attributes)[0]

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Name of a constant."""
        return self.graph.constant(np.asarray(value, dtype))

    def result(self, name: str, dims: Sequence[Size | int], dtype: Any = np.float32) -> Value:
        """A tensor of the graph."""
        sizes = [size(dim) for dim in dims]
        if prod(dim.fixed if dim.fixed is not None else 1 for dim in sizes) > _MOST_NUMBERS:
            self.refuse(f"makes a tensor of {' x '.join(map(str, sizes))} numbers, more than any model needs")
        return self.graph.value(name, sizes, dtype)

    def computed(self, op: str, *inputs: str, like: Value, **attributes: Any) -> Values:
        """The one result of a new ONNX node, of the shape and type of another tensor."""
        return (self.result(self.emit(op, *inputs, **attributes), like.dims, like.dtype),)

    def floats(self, *values: Value) -> None:
        """Only float32 goes on."""
        for value in values or self.inputs:
            if value.dtype != FLOAT:
                self.refuse(
                    f"computes in {value.dtype}, dray verified float32 only",
                    "cast the model to float32 before it is exported: net.cast('float32')",
                )

    def fixed(self, dim: Size, why: str) -> int:
        """The number that a size is; a free one is asked for."""
        if dim.fixed is None:
            raise SizeNeeded(self.graph.roots(dim.symbols), self.name, why)
        return dim.fixed

    def same(self, left: Size, right: Size, what: str) -> None:
        """Two sizes must agree; a free one becomes what the other is."""
        difference = left - right
        if difference.fixed == 0:
            return
        if difference.fixed is not None:
            raise ModelInvalid(
                f"the {self.op} node {self.name!r} gets {what} {left}, and {right} is what it takes",
                hint="check the shapes after --input and in --samples, or export the model again",
            )
        for first, second in ((left, right), (right, left)):
            symbol = first.symbol
            # The name of rows stays, whatever else has as many.
            keeps = symbol == "batch" and second.fixed is None
            if symbol is not None and not keeps and symbol not in {*self.graph.definitions, *second.symbols}:
                raise SizeBound(symbol, second)
        solved = _solved(difference)
        if solved is not None and solved.symbol not in self.graph.definitions:
            raise solved
        # Sizes that are not followed have names that mean nothing to anybody.
        shown = ["its input" if side.symbols & set(self.graph.definitions) else str(side) for side in (left, right)]
        raise SizeNeeded(self.graph.roots(difference.symbols), self.name, f"{what} {shown[0]} must equal {shown[1]}")

    def meet(self, left: Size, right: Size) -> Size:
        """The size of two axes that are broadcast together; a free one may turn out to be 1."""
        if 1 in (left.fixed, right.fixed):
            return right if left.fixed == 1 else left
        try:
            self.same(left, right, "a size of")
        except (SizeBound, SizeNeeded) as found:
            symbols = self.graph.roots(left.symbols | right.symbols)
            raise SizeNeeded(symbols, self.name, f"{left} meets {right}", found) from None
        return left

    def numbers_of(self, value: Value, why: str) -> NDArray[Any]:
        """The numbers of a parameter."""
        array = self.graph.evaluate(value.name)
        if array is None:
            self.refuse(why)
        return array


def _solved(difference: Size) -> SizeBound | None:
    """What a free size must be for a difference to vanish."""
    for names, factor in difference.terms:
        if len(names) != 1:
            continue
        rest = difference - Size(((names, factor),))
        value = (rest * -1).over(size(factor))
        if value is not None and names[0] not in value.symbols and (value.fixed is None or value.fixed > 0):
            return SizeBound(names[0], value)
    return None


Translate = Callable[[Call], Values]


@dataclass(frozen=True, slots=True)
class Operator:
    """How one operator is translated.

    Attributes:
        least, most: Numbers of inputs; None as MXNet declares.
        uses: Of the inputs, only so many first ones matter for answers; the others are labels.
    """

    translate: Translate
    least: int | None = None
    most: int | None = None
    uses: int | None = None
    steps: bool = False


_OPERATORS: dict[str, Operator] = {}


def operator(
    *names: str, least: int | None = None, most: int | None = None, uses: int | None = None, steps: bool = False
) -> Callable[[Translate], Translate]:
    """Register the translation of operators, by the first of each one's names.

    Args:
        steps: Whether it treats every step of a padded sequence by itself, or minds the lengths.
    """

    def register(translate: Translate) -> Translate:
        for name in names:
            _OPERATORS[name] = Operator(translate, least, most, uses, steps)
        return translate

    return register


@cache
def operators() -> dict[str, Operator]:
    """All operators by the first of their names."""
    from packager.converters.mxnet import operators as modules

    modules.load()
    return _OPERATORS
