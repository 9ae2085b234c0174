"""The user's samples as the matrix that a library's own model takes, or refused with what does not fit."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.boosting.model import BoostedModel
from packager.converters.sample_files import SampleFile, thinned
from packager.core.errors import SampleError

Matrix = NDArray[Any]
DEFAULT_NAME = "X"
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def matrix_of(file: SampleFile, path: Path, model: BoostedModel, name: str) -> tuple[Matrix, tuple[str, ...]]:
    """The samples, (rows, width), and notes on what was left out.

    Raises:
        SampleError: Wrong columns, width or types, or no rows; names the file and the column.
    """
    values, notes = _chosen(file, path, model, name)
    width = model.forest.width
    if values.ndim != 2 or values.shape[1] != width:
        raise SampleError(
            f"the samples {path.name!r} have the shape {list(values.shape)}, expected [rows, {width}]",
            hint="give the columns that the model was trained with, in their order, and nothing else",
            detail={"found": list(values.shape), "expected": width},
        )
    if not len(values):
        raise SampleError(f"the samples {path.name!r} hold no rows", hint="give at least one row")
    matrix = _numbers(values, path)
    with np.errstate(invalid="ignore"):
        rows, columns = np.nonzero(np.isinf(matrix) | (np.abs(matrix) > _FLOAT32_MAX))
    if len(rows):
        raise SampleError(
            f"column {int(columns[0])} of the samples {path.name!r} holds {float(matrix[rows[0], columns[0]])!r}"
            f" in row {int(rows[0])}, beyond what an FP32 input can hold",
            hint="scale the column before training, so that its values stay under 3e38",
        )
    kept = thinned(len(matrix))
    if len(kept) < len(matrix):
        notes = (*notes, f"{len(kept)} of {len(matrix)} samples were used, evenly spaced")
    return matrix[kept], notes


def _chosen(file: SampleFile, path: Path, model: BoostedModel, name: str) -> tuple[Matrix, tuple[str, ...]]:
    """The values that the file holds for the model's input."""
    if file.frame is not None:
        return _columns_of(file.frame.rename(columns=str), path, model, headed=file.headed)
    arrays = file.arrays or {}
    if name in arrays or len(arrays) == 1:
        return arrays.get(name, next(iter(arrays.values()))), ()
    if model.columns and set(model.columns) <= set(arrays):
        return np.stack([np.ravel(arrays[column]) for column in model.columns], axis=1), ()
    raise SampleError(
        f"the samples {path.name!r} hold {len(arrays)} arrays ({', '.join(arrays)}), the model has one input",
        hint=f"keep the inputs alone, under the name {name!r}",
    )


def _columns_of(frame: Any, path: Path, model: BoostedModel, *, headed: bool) -> tuple[Matrix, tuple[str, ...]]:
    if not headed or not model.columns:
        return frame.to_numpy(), ()
    missing = [column for column in model.columns if column not in frame.columns]
    if missing:
        raise SampleError(
            f"the samples {path.name!r} lack the column {missing[0]!r}, which the model was trained with",
            hint=f"the columns are {', '.join(frame.columns)}; name them as in training",
            detail={"missing": missing, "found": list(frame.columns)},
        )
    extra = [column for column in frame.columns if column not in model.columns]
    notes = (
        (f"the samples' {', '.join(map(repr, extra))} is not an input of the model and was left out",) if extra else ()
    )
    return frame[list(model.columns)].to_numpy(), notes


def _numbers(values: Matrix, path: Path) -> Matrix:
    """Floats; float32 stays float32, missing entries are NaN."""
    if values.dtype.kind == "f":
        return values
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise SampleError(
            f"the samples {path.name!r} hold text or objects, the model takes numbers: {error}",
            hint="encode the columns as they were in training",
        ) from error
