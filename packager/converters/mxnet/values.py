"""Tensors of the graph that is being written, and what their sizes must be."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from packager.converters.mxnet.sizes import Size

FLOAT = np.dtype(np.float32)
INT64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor by its name in the ONNX graph.

    Attributes:
        origin: The input whose numbers these are, moved but not computed with; empty otherwise.
        zeros: Whether it is zeros of a shape that MXNet would have inferred.
    """

    name: str
    dims: tuple[Size, ...]
    dtype: "np.dtype[Any]" = FLOAT
    origin: str = ""
    zeros: bool = False

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.dims)

    def computed(self) -> "Value":
        """The tensor as the result of a computation."""
        return replace(self, origin="", zeros=False)


class SizeBound(Exception):
    """A free size turns out to be another: translate again with that."""

    def __init__(self, symbol: str, value: Size) -> None:
        super().__init__(f"{symbol} is {value}")
        self.symbol = symbol
        self.value = value


class SizeNeeded(Exception):
    """One of these free sizes must be a number for this graph; ``otherwise`` goes where nothing tells it."""

    def __init__(
        self, symbols: frozenset[str], node: str, why: str, otherwise: "SizeBound | SizeNeeded | None" = None
    ) -> None:
        super().__init__(f"{node}: {why}")
        self.otherwise = otherwise
        self.symbols = symbols
        self.node = node
        self.why = why
