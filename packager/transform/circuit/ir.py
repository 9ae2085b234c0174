"""The circuit in integers: formats, operations, widths. What it computes is defined by ``reference``, bit for bit."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from packager.transform.circuit.network import Bools, Integers


@dataclass(frozen=True, slots=True)
class Format:
    """An integer stands for ``integer * 2 ** -fraction``, in ``bits`` bits, two's complement if signed."""

    signed: bool
    bits: int
    fraction: int

    @property
    def low(self) -> int:
        """The smallest integer that fits."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest integer that fits."""
        return (1 << (self.bits - self.signed)) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Elements by their place in the flat source; -1 is a zero."""

    index: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """``x @ weight + bias`` over the last axis, exact."""

    weight: Integers
    bias: Integers


@dataclass(frozen=True, slots=True)
class Positive:
    """The larger of an element and zero."""


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest element of the last axis, which goes."""


@dataclass(frozen=True, slots=True)
class Total:
    """Two tensors, each shifted left to one fraction, added; exact."""

    shifts: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rescale:
    """To fewer bits: ``shift`` bits to the right, rounded half up (to the left where negative), then saturated."""

    shift: int


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One value for each integer of the source's format, from its lowest on."""

    values: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """One tree in arrays by node, the root first; left and right are -1 at a leaf, which adds its ``values``.

    A row goes left where its number is at most ``threshold``, and where it is missing and ``missing_left`` says so.
    """

    feature: Integers
    threshold: Integers
    left: Integers
    right: Integers
    missing_left: Bools
    values: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """``base`` and the values of the leaves that a row ends in, exact.

    ``missing`` is, for each number of a row, the least integer that says that there is none.
    """

    trees: tuple[Decisions, ...]
    base: Integers
    missing: Integers


Operation: TypeAlias = Place | Product | Positive | Largest | Total | Rescale | Table | Forest


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on earlier tensors (0 is the input), and the format that its result fits."""

    operation: Operation
    sources: tuple[int, ...]
    format: Format
    name: str


@dataclass(frozen=True, slots=True)
class Circuit:
    """Steps in order; the last one's result is the circuit's."""

    shape: tuple[int, ...]
    format: Format
    steps: tuple[Step, ...]

    @property
    def answer(self) -> Format:
        """Format of the result."""
        return self.steps[-1].format

    def format_of(self, tensor: int) -> Format:
        """Format of a tensor by its number: 0 is the input."""
        return self.steps[tensor - 1].format if tensor else self.format


def bits_for(low: int, high: int) -> tuple[bool, int]:
    """Sign and number of bits of the narrowest format that holds both bounds."""
    if low >= 0:
        return False, max(1, high.bit_length())
    return True, max((~low).bit_length(), high.bit_length() if high >= 0 else 0) + 1
