"""What a scikit-learn model answers, by the name of the ONNX output that will answer the same."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.boosting.estimators import library_of, ranks
from packager.converters.sklearn.frames import FrameInput
from packager.converters.sklearn.inputs import ModelInput, Samples
from packager.converters.sklearn.parts import last_step
from packager.core.errors import ConverterMissing, ModelInvalid, SampleError
from runtime.contract.manifest import Label

Array = NDArray[Any]
Answers = dict[str, Array]
Input = ModelInput | FrameInput


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """One output: its name, the method that answers it, and its place among skl2onnx's outputs.

    Attributes:
        column: Of skl2onnx's matrix, where the source gives one number a row.
    """

    name: str
    method: str
    raw_index: int
    column: int = 0


def outputs_of(model: Any) -> tuple[OutputPlan, ...]:
    """The outputs that a model has.

    Raises:
        ModelInvalid: It neither predicts nor transforms.
    """
    from sklearn.base import is_regressor

    if not hasattr(model, "predict"):
        if hasattr(model, "transform"):
            return (OutputPlan("transformed", "transform", 0),)
        raise ModelInvalid(
            f"the {type(model).__name__} has neither predict nor transform for new rows",
            hint="only models that answer for rows they have not seen can be served",
        )
    if is_regressor(model) or ranks(last_step(model)):
        return (OutputPlan("prediction", "predict", 0),)
    label = OutputPlan("label", "predict", 0)
    for name, method in (("probabilities", "predict_proba"), ("decision", "decision_function")):
        if hasattr(model, method):
            return (label, OutputPlan(name, method, 1, decision_column(model)))
    return (label,)


def answer(model: Any, fed: Any, plans: tuple[OutputPlan, ...]) -> Answers:
    """The model's answers by output name; probabilities of several targets at once are left out.

    Raises:
        ValueError: As the model raises it.
    """
    answers = {}
    for plan in plans:
        given = getattr(model, plan.method)(fed)
        # A multi-output classifier gives a list with one matrix a target: no single tensor.
        if not isinstance(given, list):
            answers[plan.name] = _plain(given, plan.name, model)
    return answers


def answer_samples(model: Any, samples: Samples, plans: tuple[OutputPlan, ...], model_input: Input) -> Answers:
    """As ``answer``, for the user's samples.

    Raises:
        SampleError: The model refuses a value; names the column.
    """
    try:
        return answer(model, samples.original, plans)
    except (ValueError, AttributeError) as error:  # a voter without the method that votes are taken by
        raise _refused(error, samples, model_input) from error


def classes_of(model: Any) -> Array | None:
    """The classes of a classifier with one target, in the order of its probabilities."""
    classes = getattr(model, "classes_", None)
    return classes if isinstance(classes, np.ndarray) and classes.ndim == 1 else None


def labels_of(model: Any, answers: Mapping[str, Array]) -> dict[str, tuple[Label, ...]]:
    """By output name, the class that each of its columns stands for."""
    classes = classes_of(model)
    if classes is None:
        return {}
    names = tuple(value.item() if isinstance(value, np.generic) else value for value in classes)
    return {
        name: names
        for name in ("probabilities", "decision")
        if name in answers and answers[name].ndim == 2 and answers[name].shape[1] == len(names)
    }


def decision_column(model: Any) -> int:
    """Where skl2onnx has the score of two classes: it gives d alone, (-d, d), or (d, -d) for support vectors."""
    return 0 if type(last_step(model)).__name__ in {"SVC", "NuSVC"} else -1


def _plain(given: Any, name: str, model: Any) -> Array:
    """The answer as an array without Python objects."""
    array = np.asarray(given.toarray() if hasattr(given, "toarray") else given)
    if name == "label" and array.shape[1:] == (1,) and library_of(last_step(model)) == "catboost":
        array = array.ravel()  # CatBoost gives the labels of more than two classes as a column
    if array.dtype != object:
        return array
    kinds = {type(value) for value in array.ravel()}
    if kinds <= {str, np.str_}:
        return array.astype(str)
    if kinds <= {int, bool, np.int64, np.bool_} or kinds <= {float, np.float64}:
        return np.array(array.tolist())
    raise ConverterMissing(
        f"{name!r} of the {type(model).__name__} holds {', '.join(sorted(kind.__name__ for kind in kinds))} together",
        hint="train with labels of one type: all strings or all whole numbers",
    )


def _refused(error: Exception, samples: Samples, model_input: Input) -> SampleError:
    text = str(error).splitlines()[0]
    matrix = samples.matrix.astype(np.float64)
    bad = np.isnan(matrix) if re.search(r"\bNaN\b|missing", text) else np.isinf(matrix)
    rows, columns = np.nonzero(bad)
    if not len(rows) or isinstance(model_input, FrameInput):
        return SampleError(f"the model refuses the samples: {text}", hint="give rows that its predict accepts")
    value = "NaN" if np.isnan(matrix[rows[0], columns[0]]) else "infinity"
    column = model_input.column(int(columns[0]))
    return SampleError(
        f"the samples hold {value} in column {column}, row {int(rows[0])}, which the model refuses: {text}",
        hint="fill or drop such rows, or train with an imputer in the pipeline",
        detail={"column": column, "row": int(rows[0])},
    )
