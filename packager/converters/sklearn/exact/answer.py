"""What an emitted estimator answers, and the sums and choices that answers are made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from packager.converters.sklearn.emission import Emitter, Frame

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Names of values; None for what the estimator does not answer.

    Attributes:
        value: Of a regressor, (rows, targets) doubles.
        index: Of a classifier, its places among ``classes_``, (rows,) int64.
        proba: (rows, classes) doubles.
        decision: (rows, 1) doubles where the source answers one number a row, else (rows, classes).
    """

    value: str | None = None
    index: str | None = None
    proba: str | None = None
    decision: str | None = None


# From (emitter, estimator, its columns, where it sits) to its answer.
Emit = Callable[[Emitter, Any, Frame, str], Answer]


def added_up(emitter: Emitter, parts: str) -> str:
    """Sums over axis 1, added from the first to the last as a loop in the source adds them.

    ReduceSum adds in an order of its own.
    """
    sums = emitter.add("CumSum", parts, emitter.constant(np.int64(1)))
    return emitter.add("Gather", sums, emitter.constant(np.int64(-1)), axis=1)


def stacked(emitter: Emitter, values: Sequence[str]) -> str:
    """Matrices (rows, width) as one value (rows, len(values), width)."""
    axis = emitter.constant(np.array([1]))
    several = [emitter.add("Unsqueeze", value, axis) for value in values]
    return several[0] if len(several) == 1 else emitter.add("Concat", *several, axis=1)


def beside(emitter: Emitter, values: Sequence[str]) -> str:
    """Matrices side by side."""
    return values[0] if len(values) == 1 else emitter.add("Concat", *values, axis=1)


def scaled(emitter: Emitter, op_type: str, value: str, by: Any) -> str:
    """The value and a constant of doubles under an operator."""
    return emitter.add(op_type, value, emitter.constant(np.asarray(by, np.float64)))


def greatest(emitter: Emitter, scores: str) -> str:
    """The place of the greatest score of each row, the first of equal ones."""
    return emitter.add("ArgMax", scores, axis=1, keepdims=0)


def above(emitter: Emitter, scores: str, bound: float = 0.0, *, reached: bool = False) -> str:
    """1 where the one score of a row is above a bound, else 0, (rows,).

    Args:
        reached: The bound itself counts as above.
    """
    flat = emitter.add("Reshape", scores, emitter.constant(np.array([-1])))
    op_type = "GreaterOrEqual" if reached else "Greater"
    return emitter.cast(emitter.add(op_type, flat, emitter.constant(np.float64(bound))), TensorProto.INT64)


def column_of(emitter: Emitter, value: str, column: int) -> str:
    """One column, (rows, 1)."""
    return emitter.add("Gather", value, emitter.constant(np.array([column])), axis=1)


def one_hot(emitter: Emitter, index: str, classes: Sequence[int]) -> str:
    """Which of these places each row's is, (rows, classes) booleans."""
    column = emitter.add("Reshape", index, emitter.constant(np.array([-1, 1])))
    return emitter.add("Equal", column, emitter.constant(np.asarray(classes, np.int64)[None, :]))


def places_of(member: Any, classes: Any) -> list[int]:
    """Where the classes of a member stand among those of the whole."""
    known = {value: place for place, value in enumerate(np.asarray(classes).tolist())}
    return [known[value] for value in np.asarray(member.classes_).tolist()]


def relabelled(emitter: Emitter, index: str, places: Sequence[int]) -> str:
    """Places among a member's classes as places among those of the whole."""
    if list(places) == list(range(len(places))):
        return index
    return emitter.add("Gather", emitter.constant(np.asarray(places, np.int64)), index, axis=0)


def spread(emitter: Emitter, proba: str, places: Sequence[int], count: int) -> str:
    """A member's columns at their places among ``count``, zeros elsewhere."""
    if list(places) == list(range(count)):
        return proba
    zero = scaled(emitter, "Mul", column_of(emitter, proba, 0), 0.0)
    padded = emitter.add("Concat", proba, zero, axis=1)
    source = np.full(count, len(places))
    source[list(places)] = np.arange(len(places))
    return emitter.add("Gather", padded, emitter.constant(source), axis=1)


def votes_of(emitter: Emitter, index: str, count: int) -> str:
    """One vote for each row's class, as doubles."""
    return emitter.cast(one_hot(emitter, index, range(count)), TensorProto.DOUBLE)


def expit(emitter: Emitter, scores: str) -> str:
    """1 / (1 + exp(-x)) of doubles, for very great and small x too."""
    small = emitter.add("Exp", emitter.add("Neg", emitter.add("Abs", scores)))
    whole = scaled(emitter, "Add", small, 1.0)
    negative = emitter.add("Less", scores, emitter.constant(np.float64(0)))
    one = emitter.constant(np.float64(1))
    return emitter.add("Div", emitter.add("Where", negative, small, one), whole)


def both(emitter: Emitter, chance: str) -> str:
    """The chances of two classes from that of the second."""
    return emitter.add("Concat", emitter.add("Sub", emitter.constant(np.float64(1)), chance), chance, axis=1)
