"""The samples as the model takes them: typed, in its column order, or refused with the column that does not fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from packager.converters.boosting.estimators import boosted_model, is_boosted
from packager.converters.sample_files import SampleFile, read_samples, thinned
from packager.converters.sklearn.knowledge import Encoder
from packager.converters.sklearn.parts import unwrapped
from packager.core.errors import SampleError
from runtime.contract.dtypes import Datatype

Matrix = NDArray[Any]
DEFAULT_NAME = "X"
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One ONNX input of shape (batch, width).

    Attributes:
        position: Of its first column among those that the model was trained with.
    """

    name: str
    dtype: Datatype
    width: int
    position: int = 0


@dataclass(frozen=True, slots=True)
class ModelInput:
    """The one input of a numeric model: a matrix, named columns where it was trained on a frame."""

    name: str
    width: int
    columns: tuple[str, ...] | None

    def feed(self, matrix: Matrix) -> Any:
        """A matrix as the model takes it: a frame where it was trained on one."""
        return pd.DataFrame(matrix, columns=list(self.columns)) if self.columns else matrix

    @property
    def tensor_columns(self) -> dict[str, tuple[str, ...]]:
        """Column names by input name."""
        return {self.name: self.columns} if self.columns else {}

    def specs(self, floats: Datatype) -> tuple[InputSpec, ...]:
        """The one ONNX input, of this type."""
        return (InputSpec(self.name, floats, self.width),)

    def drawn(self, matrix: Matrix) -> "Samples":
        """Synthetic samples."""
        return Samples(self.feed(matrix), matrix)

    def tensors(self, samples: "Samples") -> dict[str, Matrix]:
        """The samples by input name."""
        return {self.name: samples.matrix}

    def cast(self, samples: "Samples", floats: Datatype) -> Any:
        """What the model would be fed if it were given what the ONNX input holds."""
        return samples.original if floats == "FP64" else samples.cast

    def survives(self, samples: "Samples", floats: Datatype) -> bool:
        """Whether the input type holds every value exactly."""
        return floats == "FP64" or samples.survive_cast

    def encoders(self) -> list[Encoder]:
        """None beyond those that the model holds."""
        return []

    def nullable(self) -> NDArray[np.bool_]:
        """By column, whether missing values are known to be taken; nothing is."""
        return np.zeros(self.width, bool)

    def column(self, index: int) -> str:
        """A column as a person would call it."""
        return repr(self.columns[index]) if self.columns else str(index)


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows for the model.

    Attributes:
        original: With the types that the user gave; a frame or an array.
        matrix: The same as (rows, width) numbers, as wide as they came.
    """

    original: Any
    matrix: Matrix
    notes: tuple[str, ...] = ()

    @property
    def narrow(self) -> bool:
        """Whether they are float32 themselves."""
        return self.matrix.dtype == np.float32

    @property
    def cast(self) -> Any:
        """The values that an FP32 input leaves of them, in the types that the model was given before."""
        narrow = self.matrix.astype(np.float32)
        if isinstance(self.original, pd.DataFrame):
            wide = pd.DataFrame(narrow.astype(np.float64), columns=self.original.columns)
            return wide.astype(self.original.dtypes.to_dict())
        return narrow.astype(self.matrix.dtype)

    @property
    def survive_cast(self) -> bool:
        """True when float32 holds every value exactly."""
        return np.array_equal(self.matrix.astype(np.float32).astype(self.matrix.dtype), self.matrix, equal_nan=True)


def input_of(model: Any, *, name: str | None, samples: SampleFile | None) -> ModelInput:
    """The model's input, from the model itself and, where it does not say, from the samples.

    Raises:
        SampleError: Nothing says how many columns there are.
    """
    names = names_in(model)
    width = getattr(model, "n_features_in_", None) or _width_of_trees(model)
    if width is None and names is None and samples is not None:
        width = samples.frame.shape[1] if samples.frame is not None else _only_array(samples)[1].shape[-1]
    if width is None and names is None:
        raise SampleError(
            f"the {type(model).__name__} does not say how many columns it takes",
            hint="give some rows with --samples, or --input X=FP32:N,30",
        )
    columns = None if names is None else tuple(str(column) for column in names)
    return ModelInput(name or _named_by(samples) or DEFAULT_NAME, int(width or len(columns or ())), columns)


def names_in(model: Any) -> Any:
    """The columns that a model was trained with; None where it does not say, as CatBoost's once they were saved."""
    names = getattr(model, "feature_names_in_", None)
    return names if names is not None and len(names) else None


def _width_of_trees(model: Any) -> int | None:
    """Columns of a boosted model at the start of a pipeline, which may have lost their number when it was saved."""
    first = unwrapped(model)
    while hasattr(first, "steps"):
        first = unwrapped(first.steps[0][1])
    return boosted_model(first).forest.width if is_boosted(first) else None


def user_samples(path: Path, file: SampleFile, model_input: ModelInput) -> Samples:
    """The user's rows, checked against the model.

    Raises:
        SampleError: Wrong columns, width or types, or no rows; names the file and the column.
    """
    if file.frame is None and model_input.columns and set(model_input.columns) <= set(file.arrays or {}):
        columns = {name: np.ravel((file.arrays or {})[name]) for name in model_input.columns}
        file = SampleFile(frame=pd.DataFrame(columns), headed=True)
    fit = fitted_frame if file.frame is not None else _array
    original, notes = fit(path, file, model_input)
    original, notes = at_most(path, original, notes)
    matrix = _matrix(path, original, model_input)
    return Samples(original if model_input.columns else matrix, matrix, notes)


def at_most(path: Path, rows: Any, notes: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """No more rows than are looked at, numbered anew.

    Raises:
        SampleError: There is none.
    """
    if not len(rows):
        raise SampleError(f"the samples {path.name!r} hold no rows", hint="give at least one row")
    kept = thinned(len(rows))
    if len(kept) < len(rows):
        notes = (*notes, f"{len(kept)} of {len(rows)} samples were used, evenly spaced")
        rows = rows.iloc[kept] if isinstance(rows, pd.DataFrame) else rows[kept]
    return (rows.reset_index(drop=True) if isinstance(rows, pd.DataFrame) else rows), notes


def read(path: Path | None, model: Any, texts: frozenset[str] | None = frozenset()) -> SampleFile | None:
    """The samples file, or None without one."""
    if path is None:
        return None
    names = names_in(model)
    return read_samples(path, columns=None if names is None else [str(name) for name in names], texts=texts)


def fitted_frame(path: Path, file: SampleFile, model_input: ModelInput) -> tuple[Any, tuple[str, ...]]:
    """The columns that the model was trained with, in their order, and what was left out.

    Raises:
        SampleError: A column is absent, or their number is another.
    """
    frame = file.frame
    assert frame is not None  # noqa: S101 - the caller's branch
    if not model_input.columns or not file.headed:
        _check_width(path, frame.shape[1], model_input)
        return (frame.set_axis(list(model_input.columns), axis=1) if model_input.columns else frame), ()
    frame = frame.rename(columns=str)
    missing = [name for name in model_input.columns if name not in frame.columns]
    if missing:
        raise SampleError(
            f"the samples {path.name!r} lack {_listed(missing)}, which the model was trained with",
            hint=f"the columns are {_listed(list(frame.columns))}; name them as in training",
            detail={"missing": missing, "found": list(frame.columns)},
        )
    extra = [name for name in frame.columns if name not in model_input.columns]
    notes = (f"the samples' {_listed(extra)} is not an input of the model and was left out",) if extra else ()
    return frame[list(model_input.columns)], notes


def _array(path: Path, file: SampleFile, model_input: ModelInput) -> tuple[Any, tuple[str, ...]]:
    _, array = _only_array(file, model_input.name)
    if array.ndim != 2:
        raise SampleError(
            f"the samples {path.name!r} have the shape {list(array.shape)}, expected [rows, {model_input.width}]",
            hint="a single row is written as [[...]]" if array.ndim == 1 else "give one row a sample",
        )
    _check_width(path, array.shape[1], model_input)
    if model_input.columns and array.dtype.kind in "biuf":
        return pd.DataFrame(array, columns=list(model_input.columns)), ()
    return array, ()


def _only_array(file: SampleFile, wanted: str | None = None) -> tuple[str, Matrix]:
    arrays = file.arrays or {}
    if len(arrays) == 1:
        return next(iter(arrays.items()))
    if wanted in arrays:
        return str(wanted), arrays[str(wanted)]
    raise SampleError(
        f"the samples hold {len(arrays)} arrays ({_listed(list(arrays))}), the model has one input",
        hint=f"keep the inputs alone, under the name {wanted or DEFAULT_NAME!r}",
    )


def _named_by(samples: SampleFile | None) -> str | None:
    arrays = (samples.arrays if samples else None) or {}
    return next(iter(arrays)) if len(arrays) == 1 else None


def _check_width(path: Path, width: int, model_input: ModelInput) -> None:
    if width == model_input.width:
        return
    target = " (is the target among them?)" if width == model_input.width + 1 else ""
    raise SampleError(
        f"the samples {path.name!r} have {width} columns, the model takes {model_input.width}{target}",
        hint="give the columns that the model was trained with, in their order, and nothing else",
        detail={"found": width, "expected": model_input.width},
    )


def _matrix(path: Path, original: Any, model_input: ModelInput) -> Matrix:
    """The samples as numbers; float32 stays float32, whole numbers stay whole."""
    if isinstance(original, pd.DataFrame):
        for index, name in enumerate(original.columns):
            column = original[name]
            if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_complex_dtype(column.dtype):
                raise _not_numbers(path, model_input.column(index), column)
        narrow = set(original.dtypes) == {np.dtype(np.float32)}
        matrix = original.to_numpy(dtype=np.float32 if narrow else np.float64, na_value=np.nan)
    else:
        matrix = np.asarray(original)
        if matrix.dtype.kind not in "biuf":
            raise _not_numbers(path, "0", pd.Series(matrix[:, 0]))
        matrix = matrix.astype(np.float64) if matrix.dtype.kind == "b" else matrix
    _check_range(path, matrix, model_input)
    return matrix


def _not_numbers(path: Path, column: str, values: "pd.Series[Any]") -> SampleError:
    texts = values.dropna()
    bad = [value for value in texts if pd.isna(pd.to_numeric(pd.Series([value]), errors="coerce")).any()]
    shown = repr(bad[0] if bad else (texts.iloc[0] if len(texts) else None))
    return SampleError(
        f"column {column} of the samples {path.name!r} holds {shown}, the model takes numbers",
        hint="give the columns as the model was trained with them; text needs an encoder in the model",
        detail={"column": column},
    )


def _check_range(path: Path, matrix: Matrix, model_input: ModelInput) -> None:
    if matrix.dtype.kind != "f":
        return
    rows, columns = np.nonzero(np.isfinite(matrix) & (np.abs(matrix) > _FLOAT32_MAX))
    if len(rows):
        raise SampleError(
            f"column {model_input.column(int(columns[0]))} of the samples {path.name!r} holds"
            f" {float(matrix[rows[0], columns[0]])!r} in row {int(rows[0])}, beyond what an FP32 input can hold",
            hint="scale the column before training, so that its values stay under 3e38",
        )


def _listed(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
