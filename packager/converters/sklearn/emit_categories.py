"""ONNX for encoders and imputers: what scikit-learn answers for each category, looked up by the category.

The encoder itself is asked for its answer to every category that it knows, so that dropped, infrequent and missing
categories come out as it has them. A category that it refuses makes ONNX Runtime refuse the request as well: the lookup
of an entry that is not there fails, and the name of the failing node says which column it was.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto

from packager.converters.sklearn.emission import Block, Emitter, Frame, numbers, picked, width_of
from packager.core.errors import ConverterMissing

Array = NDArray[Any]
_ML = "ai.onnx.ml"
UNSEEN = "\u0001 a category that no one has seen"


def emit_encoder(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """OneHotEncoder, OrdinalEncoder, TargetEncoder."""
    columns, width = [], 0
    for index, categories in enumerate(step.categories_):
        place = _Place(step, index)
        table, unseen = place.answers()
        (block,) = picked(emitter, frame, [index])
        # Without an answer to what is unseen, its entry lies one behind the end of the table.
        whole = table if unseen is None else np.vstack([table, unseen])
        found = _index_of(emitter, block, categories, f"{path}, feature {index}")
        label = f"a category that the model does not know, in feature {place.name!r} of {path}"
        columns.append(emitter.add("Gather", emitter.constant(whole), found, label=label, axis=0))
        width += whole.shape[1]
    return numbers(columns[0] if len(columns) == 1 else emitter.add("Concat", *columns, axis=1), width)


class _Place:
    """One feature of a fitted encoder."""

    def __init__(self, step: Any, index: int) -> None:
        self._step = step
        self._index = index
        names = getattr(step, "feature_names_in_", None)
        self.name = str(index) if names is None else str(names[index])

    def answers(self) -> tuple[Array, Array | None]:
        """The encoder's answer to each category, (categories, width), and to an unseen one; None where it refuses."""
        categories = self._step.categories_[self._index]
        table = self._asked(list(categories))
        try:
            return table, self._asked([unseen_of(categories)])
        except ValueError:
            return table, None

    def _asked(self, values: Sequence[Any]) -> Array:
        rows: dict[int, Array] = {}
        for other, categories in enumerate(self._step.categories_):
            column = np.empty(len(values), object)
            column[:] = values if other == self._index else [categories[0]] * len(values)
            kind = np.asarray(categories).dtype
            rows[other] = column if kind.kind == "O" or isinstance(values[0], str) else column.astype(_wide(kind))
        names = getattr(self._step, "feature_names_in_", None)
        given = pd.DataFrame(rows)
        answer = self._step.transform(given.set_axis(list(names), axis=1) if names is not None else _array(given))
        if hasattr(answer, "toarray"):
            answer = answer.toarray()
        start, stop = self._columns()
        return np.asarray(answer, np.float64)[:, start:stop]

    def _columns(self) -> tuple[int, int]:
        if hasattr(self._step, "_n_features_outs"):
            ends = np.cumsum([0, *self._step._n_features_outs])
            return int(ends[self._index]), int(ends[self._index + 1])
        several = len(self._step.classes_) if getattr(self._step, "target_type_", "") == "multiclass" else 1
        return self._index * several, (self._index + 1) * several


def _array(frame: pd.DataFrame) -> Array:
    return frame.to_numpy(object) if any(dtype.kind == "O" for dtype in frame.dtypes) else frame.to_numpy()


def _wide(kind: "np.dtype[Any]") -> "np.dtype[Any]":
    return np.dtype(np.float64) if kind.kind in "iu" else kind


def unseen_of(categories: Array) -> Any:
    """A value that is none of the categories, of their kind."""
    if is_text(categories):
        return UNSEEN
    known = np.asarray([value for value in categories if not pd.isna(value)], np.float64)
    return float(known.max()) + 1.5 if len(known) else 0.5


def is_text(categories: Any) -> bool:
    """Whether categories are strings, with or without a missing one.

    Raises:
        ConverterMissing: Strings and numbers together, or missing values of two kinds.
    """
    array = np.asarray(categories)
    if array.dtype.kind in "US":
        return True
    if array.dtype.kind != "O":
        return False
    present = [value for value in array.ravel() if not _is_missing(value)]
    texts = [isinstance(value, str) for value in present]
    if any(texts) and not all(texts):
        other = next(value for value in present if not isinstance(value, str))
        raise ConverterMissing(
            f"the categories hold strings and {type(other).__name__} together ({present[0]!r}, {other!r})",
            hint="make the column one type before training: all strings or all numbers",
        )
    return all(texts)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and bool(np.isnan(value)))


def _index_of(emitter: Emitter, block: Block, categories: Array, where: str) -> str:
    """Places of a column's values among the categories, (rows,); their number where a value is none of them."""
    flat = emitter.add("Reshape", block.value, emitter.constant(np.array([-1])))
    missing = [index for index, value in enumerate(categories) if _is_missing(value)]
    if len(missing) > 1:
        raise ConverterMissing(
            f"{where} knows two kinds of missing values, None and NaN, which ONNX cannot tell apart",
            hint="train with one of them: frame.fillna(np.nan)",
        )
    if is_text(categories):
        return _index_of_text(emitter, block, flat, categories, missing, where)
    if block.kind == "string":
        raise ConverterMissing(f"{where} knows numbers and is given text", hint="give the column the type of training")
    return _index_of_number(emitter, flat, categories, missing)


def _index_of_text(emitter: Emitter, block: Block, flat: str, categories: Array, missing: list[int], where: str) -> str:
    if block.kind != "string":
        raise ConverterMissing(f"{where} knows text and is given numbers", hint="give the column the type of training")
    keys = ["" if _is_missing(value) else str(value) for value in categories]
    if missing and "" in [key for index, key in enumerate(keys) if index not in missing]:
        raise ConverterMissing(
            f"{where} knows the empty string and a missing value, which are the same in ONNX",
            hint="replace one of them before training",
        )
    return emitter.add(
        "LabelEncoder", flat, domain=_ML,
        keys_strings=keys, values_int64s=list(range(len(keys))), default_int64=len(keys),
    )  # fmt: skip


def _index_of_number(emitter: Emitter, flat: str, categories: Array, missing: list[int]) -> str:
    known = np.array([np.nan if _is_missing(value) else float(value) for value in categories], np.float64)
    column = emitter.add("Reshape", flat, emitter.constant(np.array([-1, 1])))
    equal = emitter.add("Equal", column, emitter.constant(np.where(np.isnan(known), 0.0, known)[None, :]))
    if missing:
        at_missing = emitter.constant(np.isnan(known)[None, :])
        empty = emitter.add("And", emitter.add("IsNaN", column), at_missing)
        equal = emitter.add("Or", emitter.add("And", equal, emitter.add("Not", at_missing)), empty)
    hits = emitter.cast(equal, TensorProto.INT64)
    found = emitter.add("ReduceMax", hits, emitter.constant(np.array([1])), keepdims=0)
    place = emitter.add("ArgMax", hits, axis=1, keepdims=0)
    return emitter.add("Where", emitter.cast(found, TensorProto.BOOL), place, emitter.constant(np.int64(len(known))))


def emit_imputer(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """SimpleImputer, over numbers and over strings, with its indicators."""
    statistics = np.asarray(step.statistics_, object)
    kept = [index for index, value in enumerate(statistics) if step.keep_empty_features or not _is_missing(value)]
    if step.strategy == "constant":
        kept = list(range(len(statistics)))
    made: list[Block] = []
    for run in _runs(frame, kept):
        (block,) = picked(emitter, frame, run)
        fill = statistics[run]
        value = (
            _filled_text(emitter, block, fill, step, path)
            if block.kind == "string"
            else _filled(emitter, block, fill, step, path)
        )
        made.append(replace(block, value=value))
    if step.add_indicator and len(step.indicator_.features_):
        made += _indicators(emitter, step.indicator_, frame, path)
    return tuple(made)


def emit_indicator(emitter: Emitter, step: Any, frame: Frame, path: str) -> Frame:
    """MissingIndicator.

    Raises:
        ConverterMissing: It refuses missing values in columns that had none; ONNX would not.
    """
    if step.features == "missing-only" and step.error_on_new and len(step.features_) < width_of(frame):
        raise ConverterMissing(
            f"{path} refuses missing values in columns that had none in training, which has no ONNX form",
            hint="train with error_on_new=False, or features='all'",
        )
    return tuple(_indicators(emitter, step, frame, path))


def _indicators(emitter: Emitter, step: Any, frame: Frame, path: str) -> list[Block]:
    made = []
    for run in _runs(frame, [int(index) for index in step.features_]):
        (block,) = picked(emitter, frame, run)
        gap = _gaps(emitter, block, step.missing_values, path)
        made.append(Block(emitter.cast(gap, TensorProto.DOUBLE), block.width))
    return made


def _runs(frame: Frame, indices: Sequence[int]) -> list[list[int]]:
    """Columns that follow one another in one block."""
    owner = [number for number, block in enumerate(frame) for _ in range(block.width)]
    runs: list[list[int]] = []
    for index in indices:
        if runs and owner[runs[-1][-1]] == owner[index]:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def _gaps(emitter: Emitter, block: Block, missing: Any, path: str) -> str:
    """Where a block holds the imputer's missing value."""
    if block.kind == "string":
        text = "" if _is_missing(missing) else str(missing)
        flat = emitter.add("Reshape", block.value, emitter.constant(np.array([-1])))
        found = emitter.add("LabelEncoder", flat, domain=_ML, keys_strings=[text], values_int64s=[1], default_int64=0)
        shaped = emitter.add("Reshape", found, emitter.constant(np.array([-1, block.width])))
        return emitter.cast(shaped, TensorProto.BOOL)
    if _is_missing(missing):
        return emitter.add("IsNaN", block.value)
    if isinstance(missing, str):
        raise ConverterMissing(f"{path} looks for {missing!r} among numbers", hint="use missing_values=numpy.nan")
    return emitter.add("Equal", block.value, emitter.constant(np.float64(missing)))


def _filled(emitter: Emitter, block: Block, fill: Array, step: Any, path: str) -> str:
    if any(isinstance(value, str) for value in fill):
        raise ConverterMissing(
            f"{path} fills numbers with {next(value for value in fill if isinstance(value, str))!r}",
            hint="give --samples with the column types of training",
        )
    wanted = emitter.constant(np.array([float(value) for value in fill])[None, :])
    return emitter.add("Where", _gaps(emitter, block, step.missing_values, path), wanted, block.value)


def _filled_text(emitter: Emitter, block: Block, fill: Array, step: Any, path: str) -> str:
    gap = _gaps(emitter, block, step.missing_values, path)
    return emitter.add("Where", gap, emitter.constant(np.array([[str(value) for value in fill]])), block.value)
