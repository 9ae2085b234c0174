"""A boosted model as dray sees it: its trees, what is made of their sum, and what it answers."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.boosting.forest import Forest
from packager.core.errors import ConverterMissing
from runtime.contract.manifest import Label


class Link(Enum):
    """What a library makes of raw scores."""

    IDENTITY = "identity"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"
    EXP = "exp"
    LOG1P_EXP = "log1p_exp"
    SIGNED_SQUARE = "signed_square"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class BoostedModel:
    """Everything that an answer is computed from.

    Attributes:
        slope: Of the sigmoid.
        classes: Of a classifier, in the order of its probabilities; None for all others.
        columns: Names of the columns where they were given in training.
        double: True when the library adds and answers in float64; else in float32.
        single_precision_input: True when it rounds its input to float32 first.
    """

    forest: Forest
    link: Link
    classes: tuple[Label, ...] | None
    columns: tuple[str, ...] | None
    double: bool
    single_precision_input: bool
    slope: float = 1.0

    @property
    def single_score(self) -> bool:
        """True for two classes told apart by one raw score."""
        return self.classes is not None and len(self.forest.base) == 1


def unconvertible(what: str, hint: str, **detail: Any) -> ConverterMissing:
    """The refusal of a model that has no faithful ONNX form."""
    return ConverterMissing(f"the model cannot be converted faithfully: {what}", hint=hint, detail=detail)


def plain_labels(classes: Any) -> tuple[Label, ...]:
    """Classes as Python values."""
    array: NDArray[Any] = np.asarray(classes)
    return tuple(value.item() if isinstance(value, np.generic) else value for value in array)
