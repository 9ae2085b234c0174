"""The precisions that a model is tried at, doubles first, until the graph answers as the source does."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.sklearn.parts import Part
from packager.converters.sklearn.running import disagreement, session_of
from packager.converters.sklearn.trees import Grove
from packager.core.errors import ConversionError
from runtime.contract.dtypes import Datatype

Array = NDArray[Any]
logger = logging.getLogger(__name__)

# A precision is taken only where it keeps well within the tolerance: rows that are no sample must keep within it too.
_STRICTNESS = 0.25


@dataclass(frozen=True, slots=True)
class Rung:
    """One precision.

    Attributes:
        floats: Type of the inputs, and of the answers, that are numbers with fractions.
        double: Whether an estimator that skl2onnx converts computes in doubles; what has a rule of its own always does.
    """

    floats: Datatype
    double: bool

    def __str__(self) -> str:
        return f"{self.floats} inputs, transformers in double, the estimator in {'double' if self.double else 'float'}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished graph at one precision, and the answers that its inputs stand for."""

    rung: Rung
    onnx: bytes
    original: Mapping[str, Array]
    cast: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Judge:
    """Whether a graph answers as the source does, before and after the cast to its input types."""

    tensors: Mapping[str, Array]
    dtypes: Callable[[Rung], Mapping[str, str]]
    atol: float
    rtol: float

    def faults(self, attempt: Attempt) -> tuple[int, int]:
        """Values that differ for the same values, and for the original ones; -1 where the graph does not run."""
        session = session_of(attempt.onnx)
        feeds = {name: self.tensors[name].astype(dtype) for name, dtype in self.dtypes(attempt.rung).items()}
        bounds = {"atol": self.atol * _STRICTNESS, "rtol": self.rtol * _STRICTNESS}
        with np.errstate(all="ignore"):
            same = disagreement(session, feeds, attempt.cast, **bounds)
            if attempt.cast is attempt.original:
                return same, same
            return same, disagreement(session, feeds, attempt.original, **bounds)


def rungs(*, narrow_first: bool, fixed: Datatype | None) -> Iterator[Rung]:
    """The precisions in the order they are tried: scikit-learn computes in float64 what it is given in float64.

    Args:
        narrow_first: float32 inputs lose nothing; see ``takes_float32``.
        fixed: The type that the user asks for.
    """
    order: tuple[Datatype, ...] = ("FP32", "FP64") if narrow_first else ("FP64", "FP32")
    for floats in order:
        if fixed in (None, floats):
            yield from (Rung(floats, double=True), Rung(floats, double=False))


def climb(candidates: Iterator[Rung], attempt: Callable[[Rung], Attempt], judge: Judge) -> tuple[Attempt, list[str]]:
    """The first attempt without a fault, else the one with the fewest, and why others were passed over.

    Raises:
        ConversionError: None could be made; the first one's error.
    """
    errors: list[ConversionError] = []
    faulty: list[tuple[tuple[bool, int, int], int, Attempt]] = []
    passed_over: list[str] = []
    for number, rung in enumerate(candidates):
        try:
            made = attempt(rung)
            same, visible = judge.faults(made)
        except ConversionError as error:
            logger.debug("%s: %s", rung, error.message)
            errors.append(error)
            passed_over.append(f"{rung}: {error.message}")
            continue
        if same == visible == 0:
            return made, passed_over
        passed_over.append(f"{rung}: {_told(same, visible)}")
        faulty.append(((same != 0, abs(same), abs(visible)), number, made))
    if not faulty:
        raise errors[0]
    return min(faulty, key=lambda item: item[:2])[2], passed_over


def _told(same: int, visible: int) -> str:
    if same < 0:
        return "the graph stops at the samples"
    return f"{same} values differ for the same values" if same else f"{visible} values differ for the original values"


def takes_float32(parts: Sequence[Part], groves: Sequence[Grove]) -> bool:
    """Whether a model is scikit-learn's own trees right behind its input: they round it to float32 themselves."""
    trees = {id(grove.part.estimator) for grove in groves if _is_native(grove) and _is_at_input(grove.part)}
    return bool(trees) and all(id(part.estimator) in trees or _is_transparent(part.estimator) for part in parts)


def _is_native(grove: Grove) -> bool:
    return all(getattr(tree, "native", None) is not None for tree in grove.trees)


def _is_at_input(part: Part) -> bool:
    return part.axes is not None and all(axis is not None and axis.exact for axis in part.axes)


def _is_transparent(step: Any) -> bool:
    """Whether a part hands its columns on as they are."""
    return any(hasattr(step, name) for name in ("steps", "best_estimator_", "get_support"))
