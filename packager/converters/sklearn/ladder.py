"""The precisions that a model is tried at, from float32 to doubles, until the graph answers as the source does."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.sklearn.knowledge import Knowledge
from packager.converters.sklearn.parts import Part
from packager.converters.sklearn.running import disagreement, session_of
from packager.converters.sklearn.trees import Grove
from packager.core.errors import ConversionError
from runtime.contract.dtypes import Datatype

Array = NDArray[Any]
logger = logging.getLogger(__name__)

# A column whose values lie so far from 0 that one step of float32 is more than this share of their spread.
_COARSE = 1e-4
# Differences of squares or of large sums: float32 keeps too little of them, for rows that no sample may show.
_CANCELLING = {
    "GaussianNB", "GaussianProcessClassifier", "GaussianProcessRegressor", "KNeighborsClassifier",
    "KNeighborsRegressor", "QuadraticDiscriminantAnalysis",
}  # fmt: skip
# A precision is taken only where it keeps well within the tolerance: rows that are no sample must keep within it too.
_STRICTNESS = 0.25
# Powers of a rounded value are further off than the value, by as much as their degree; rows of a norm of 1 hide how
# great the columns are.
_STEPPED = {
    "Binarizer", "KBinsDiscretizer", "Normalizer", "PolynomialFeatures", "QuantileTransformer", "SplineTransformer",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rung:
    """One precision.

    Attributes:
        floats: Type of the inputs that are numbers with fractions.
        double: Whether the estimator behind the transformers computes in doubles.
        plain: skl2onnx converts the whole model, in float32.
    """

    floats: Datatype
    double: bool
    plain: bool = False

    def __str__(self) -> str:
        if self.plain:
            return "FP32 inputs, as skl2onnx converts"
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


def rungs(
    *, plain: bool, doubles_first: bool, cancelling: bool, native_trees: bool, fixed: Datatype | None
) -> Iterator[Rung]:
    """The precisions in the order they are tried.

    Args:
        plain: Whether skl2onnx alone may convert the model.
        cancelling: Whether its estimator should compute in doubles where that is possible.
        native_trees: scikit-learn's own trees take float32 themselves.
        fixed: The type that the user asks for.
    """
    narrow = [Rung("FP32", double=False, plain=True)] if plain else []
    # scikit-learn's trees take float32 themselves; what else stands behind transformers takes their doubles.
    narrow += [Rung("FP32", double=not native_trees), Rung("FP32", double=native_trees)]
    wide = [Rung("FP64", double=not native_trees), Rung("FP64", double=native_trees)]
    for rung in [*wide, *narrow] if doubles_first or cancelling else [*narrow, *wide]:
        if fixed in (None, rung.floats):
            yield rung


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


def wants_doubles(parts: Sequence[Part], groves: Sequence[Grove], known: Knowledge) -> bool:
    """Whether a rounded input may fall on the other side of a bound that the source holds in float64."""
    if any(_is_stepped(part.estimator) for part in parts) or coarse_columns(known).any():
        return True
    for grove in groves:
        histogram = any(getattr(tree, "native", None) is None for tree in grove.trees)
        axes = grove.part.axes
        if histogram or axes is None or any(axis is None or not axis.exact for axis in axes):
            return True
    return False


def cancels(parts: Sequence[Part]) -> bool:
    """Whether an estimator takes differences of which float32 keeps too little."""
    return any(type(part.estimator).__name__ in _CANCELLING for part in parts)


def _is_stepped(step: Any) -> bool:
    """Whether it compares its input with bounds or categories that float32 cannot hold."""
    if type(step).__name__ in _STEPPED:
        return True
    return any(_beyond_float32(categories) for categories in getattr(step, "categories_", None) or ())


def _beyond_float32(categories: Any) -> bool:
    values = np.asarray(categories)
    return values.dtype.kind in "iuf" and not np.array_equal(values.astype(np.float32), values, equal_nan=True)


def coarse_columns(known: Knowledge) -> NDArray[np.bool_]:
    """Columns whose values float32 cannot hold or tell apart, such as unix timestamps."""
    with np.errstate(over="ignore"):
        step = np.spacing(np.abs(known.centre).astype(np.float32)).astype(np.float64)
    coarse = np.asarray(step > _COARSE * known.spread)
    for encoder in known.encoders:
        for column, categories in encoder.categories.items():
            coarse[column] |= _beyond_float32(categories)
    return coarse
