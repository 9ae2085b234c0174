"""What each column of a frame holds: from the samples' types, and from what the fitted model knows of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from packager.converters.sklearn.emit_categories import UNSEEN, is_text
from packager.converters.sklearn.parts import Part, unwrapped
from packager.converters.sklearn.wording import documents
from packager.core.errors import SampleError

Kind = Literal["text", "float", "int", "bool"]
_SILENT = {"Pipeline", "ColumnTransformer", "FeatureUnion", "FunctionTransformer", "MissingIndicator"}
_ENCODERS = {"OneHotEncoder", "OrdinalEncoder", "TargetEncoder"}
_VECTORIZERS = {"CountVectorizer", "HashingVectorizer", "TfidfVectorizer"}
_EXACT_IN_FLOAT32 = 2**24


@dataclass(slots=True)
class Evidence:
    """What the parts of a model say about one input column.

    Attributes:
        nullable: A step takes missing values there.
        choices: Categories or documents to draw samples from.
        missing: What stands for a missing string: None where the model was trained with None.
        wide: float32 cannot hold a category.
        prose: Its texts are documents, not categories.
    """

    text: bool = False
    number: bool = False
    integer: bool = False
    boolean: bool = False
    nullable: bool = False
    wide: bool = False
    missing: Any = np.nan
    choices: list[str] = field(default_factory=list)
    prose: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """One column that the model reads.

    Attributes:
        position: Among the columns that the model was trained with.
        choices: Strings that samples are drawn from, where it holds text.
    """

    name: str
    position: int
    kind: Kind
    choices: tuple[str, ...] = ()
    nullable: bool = False
    wide: bool = False
    missing: Any = np.nan
    prose: bool = False


def evidence_of(parts: Iterable[Part], width: int) -> list[Evidence]:
    """One entry a column of the model's input."""
    found = [Evidence() for _ in range(width)]
    for part in parts:
        for index, axis in enumerate(part.axes or ()):
            if axis is not None and (axis.exact or type(part.estimator).__name__ not in _ENCODERS):
                _consider(found[axis.column], part.estimator, index)
    return found


def text_columns(parts: Iterable[Part], names: Sequence[str]) -> frozenset[str]:
    """Columns that the model knows to be text."""
    found = evidence_of(parts, len(names))
    return frozenset(name for name, evidence in zip(names, found, strict=True) if evidence.text)


def used_columns(model: Any, width: int) -> list[int]:
    """Columns that the model reads: all, unless a ColumnTransformer at its start leaves some out."""
    first = unwrapped(model)
    while hasattr(first, "steps"):
        first = unwrapped(first.steps[0][1])
    if not hasattr(first, "transformers_"):
        return list(range(width))
    used: set[int] = set()
    for name, step, _ in first.transformers_:
        if not (isinstance(step, str) and step == "drop"):
            used |= {int(index) for index in first._transformer_to_input_indices[name]}
    return sorted(used)


def typed_columns(
    names: Sequence[str], used: Sequence[int], evidence: Sequence[Evidence], frame: pd.DataFrame | None
) -> tuple[Column, ...]:
    """The columns that become inputs, each with its type.

    Raises:
        SampleError: Nothing says what a column holds, or the samples hold what the model cannot take.
    """
    columns = []
    for position in used:
        name, known = names[position], evidence[position]
        series = None if frame is None else frame[name]
        kind = _kind(name, known, series)
        choices = tuple(dict.fromkeys(known.choices)) if kind == "text" else ()
        if kind == "text" and not choices:
            choices = _choices_of(series)
        columns.append(Column(name, position, kind, choices, known.nullable, known.wide, known.missing, known.prose))
    return tuple(columns)


def _consider(evidence: Evidence, step: Any, index: int) -> None:
    name = type(step).__name__
    if name == "FunctionTransformer":
        evidence.number |= isinstance(step.func, np.ufunc)
    if name in _SILENT or hasattr(step, "best_estimator_"):
        evidence.nullable |= name == "MissingIndicator"
        return
    if name in _VECTORIZERS:
        evidence.text = evidence.prose = True
        evidence.choices += documents(step)
    elif name in _ENCODERS:
        _consider_categories(evidence, step, index)
    elif name == "SimpleImputer":
        statistic = step.statistics_[index]
        evidence.nullable = True
        evidence.text |= isinstance(statistic, str)
        evidence.number |= not isinstance(statistic, str)
        if isinstance(statistic, str):
            evidence.choices.append(statistic)
            evidence.missing = None if step.missing_values is None else evidence.missing
    elif not _has_members(step):
        evidence.number = True


def _has_members(step: Any) -> bool:
    """Meta-estimators say nothing of the columns themselves: their members do."""
    return hasattr(step, "estimators") or hasattr(step, "estimator") or hasattr(step, "regressor")


def _consider_categories(evidence: Evidence, step: Any, index: int) -> None:
    categories = np.asarray(step.categories_[index])
    missing = [value for value in categories if pd.isna(value)] if categories.dtype.kind in "Of" else []
    evidence.nullable |= bool(missing)
    if missing and missing[0] is None:
        evidence.missing = None
    if is_text(categories):
        evidence.text = True
        evidence.choices += [str(value) for value in categories if not pd.isna(value)]
        if getattr(step, "handle_unknown", "error") != "error" or type(step).__name__ == "TargetEncoder":
            evidence.choices.append(UNSEEN)
        return
    values = np.array([value for value in categories if not pd.isna(value)], np.float64)
    evidence.number = True
    evidence.integer |= categories.dtype.kind in "iu"
    evidence.boolean |= categories.dtype.kind == "b"
    evidence.wide |= bool((values.astype(np.float32) != values).any())


def _kind(name: str, known: Evidence, series: "pd.Series[Any] | None") -> Kind:
    if known.text and not known.number:
        return "text"
    if series is None:
        if not known.number:
            raise SampleError(
                f"the model does not say what column {name!r} holds",
                hint="give some rows with --samples FILE, as a frame with the types of training",
            )
        if known.boolean:
            return "bool"
        return "int" if known.integer and not known.nullable else "float"
    return _kind_of_series(name, known, series)


def _kind_of_series(name: str, known: Evidence, series: "pd.Series[Any]") -> Kind:
    plain = pd.api.types
    if plain.is_bool_dtype(series.dtype) and not series.isna().any() and not known.nullable:
        return "bool"
    if plain.is_numeric_dtype(series.dtype) and not plain.is_complex_dtype(series.dtype):
        whole = plain.is_integer_dtype(series.dtype) and not series.isna().any()
        return "int" if whole and not known.nullable else "float"
    values = [value for value in series if not pd.isna(value)]
    if all(isinstance(value, bool | int | float | np.number | np.bool_) for value in values):
        return "float"
    if known.number or not all(isinstance(value, str) for value in values):
        bad = next((value for value in values if known.number or not isinstance(value, str)), None)
        raise SampleError(
            f"column {name!r} of the samples holds {bad!r}, the model takes {'numbers' if known.number else 'text'}",
            hint="give the columns as the model was trained with them",
            detail={"column": name},
        )
    return "text"


def _choices_of(series: "pd.Series[Any] | None") -> tuple[str, ...]:
    return () if series is None else tuple(dict.fromkeys(str(value) for value in series if not pd.isna(value)))
