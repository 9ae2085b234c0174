"""What goes into a model: one matrix, or a tensor a column; and the user's samples in that form."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from packager.converters.sample_files import SampleFile
from packager.converters.sklearn.columns import Column, Evidence, evidence_of, typed_columns, used_columns
from packager.converters.sklearn.emit_functions import is_halved
from packager.converters.sklearn.frames import FrameInput, FrameSamples
from packager.converters.sklearn.inputs import (
    ModelInput,
    Samples,
    at_most,
    fitted_frame,
    input_of,
    names_in,
    read,
    user_samples,
)
from packager.converters.sklearn.parts import Part, parts_of
from packager.core.conversion import ConversionRequest, InputHint
from packager.core.errors import SampleError, UsageError
from runtime.contract.dtypes import Datatype

Input = ModelInput | FrameInput
_TEXT_NAME = "text"
_FLOATS: tuple[Datatype, ...] = ("FP32", "FP64")


def input_and_file(model: Any, request: ConversionRequest) -> tuple[Input, SampleFile | None]:
    """The model's inputs, and the samples file where there is one.

    Raises:
        SampleError: Nothing says what the model reads, or the samples do not fit it.
        UsageError: ``--input`` does not fit it.
    """
    names, named = _names_of(model)
    flat = names is None and _reads_texts(model)
    if flat:
        names = (request.inputs[0].name if request.inputs else _TEXT_NAME,)
    parts = parts_of(model, len(names)) if names else ()
    evidence = evidence_of(parts, len(names)) if names else []
    if named and request.samples is None:
        _check_flags(parts, names or ())
    texts = frozenset(name for name, known in zip(names or (), evidence, strict=True) if known.text)
    file = read(request.samples, model, None if flat else texts)
    frame = _sampled_frame(file, names) if names and file is not None else None
    hinted = {hint.name: hint for hint in request.inputs}
    if names is None or not (flat or texts or _holds_text(frame, names, evidence) or _hints_text(hinted, names)):
        return _matrix_input(model, request.inputs, file), file
    for name, known in zip(names, evidence, strict=True):
        _apply(hinted.pop(name, None), known)
    if hinted:
        wrong = next(iter(hinted))
        raise UsageError(f"--input {wrong}: the model has no such column", hint=f"its columns are {', '.join(names)}")
    columns = typed_columns(names, used_columns(model, len(names)), evidence, frame)
    return FrameInput(names, columns, named, flat), file


def samples_of(path: Path, file: SampleFile, model_input: Input) -> Samples:
    """The user's rows, checked against the model.

    Raises:
        SampleError: Wrong columns or types, or no rows; names the file and the column.
    """
    if isinstance(model_input, ModelInput):
        return user_samples(path, file, model_input)
    wanted = [column.name for column in model_input.read]
    found = _sampled_frame(file, model_input.names)
    if found is None:
        raise SampleError(
            f"the samples {path.name!r} do not hold the model's columns",
            hint=f"give a table with the columns {', '.join(map(repr, wanted[:8]))}",
        )
    shape = ModelInput("X", len(wanted), tuple(wanted))
    frame, notes = fitted_frame(path, SampleFile(frame=found, headed=True), shape)
    frame, notes = at_most(path, frame.reindex(columns=list(model_input.names)), notes)
    for column in model_input.read:
        _check(path, column, frame[column.name])
    return FrameSamples(model_input.presented(frame), model_input.coded(frame), notes, frame=frame)


def fixed_floats(hints: Sequence[InputHint]) -> Datatype | None:
    """The type of numbers that ``--input`` asks for."""
    asked = [hint.dtype for hint in hints if hint.dtype in _FLOATS]
    return asked[0] if asked else None


def _names_of(model: Any) -> tuple[tuple[str, ...] | None, bool]:
    names = names_in(model)
    if names is not None:
        return tuple(str(name) for name in names), True
    width = getattr(model, "n_features_in_", None) or None
    return (None if width is None else tuple(f"x{index}" for index in range(int(width)))), False


def _check_flags(parts: Sequence[Part], names: Sequence[str]) -> None:
    """Ask for samples where the answer depends on whether a column is boolean, which no fitted part says."""
    for part in parts:
        if not is_halved(part.estimator):
            continue
        exact = [axis for axis in part.axes or () if axis is not None and axis.exact]
        if part.axes is None or exact:
            column = f"column {names[exact[0].column]!r}" if exact else "a column"
            raise SampleError(
                f"the model does not say whether {column} of {part} is boolean, for which numpy computes in float16",
                hint="give some rows with --samples FILE, as a frame with the types of training",
            )


def _reads_texts(model: Any) -> bool:
    return any(known.text for known in evidence_of(parts_of(model, 1), 1))


def _matrix_input(model: Any, hints: Sequence[InputHint], file: SampleFile | None) -> ModelInput:
    if len(hints) > 1 or any(hint.dtype not in _FLOATS for hint in hints):
        raise UsageError(
            f"--input {hints[-1].name}={hints[-1].dtype}: a numeric scikit-learn model has one input of type FP32 or"
            " FP64",
            hint="give one --input NAME=FP32:N,COLUMNS, or none",
        )
    return input_of(model, name=hints[0].name if hints else None, samples=file)


def _sampled_frame(file: SampleFile | None, names: Sequence[str]) -> pd.DataFrame | None:
    """The samples as a table, whatever they are kept in; None where they are no table of such columns."""
    if file is None:
        return None
    if file.frame is not None:
        frame = file.frame.rename(columns=str)
        alone = len(names) == frame.shape[1] and (not file.headed or len(names) == 1)
        return frame.set_axis(list(names), axis=1) if alone else frame
    arrays = file.arrays or {}
    if set(arrays) & set(names):
        return pd.DataFrame({name: np.ravel(values) for name, values in arrays.items()})
    if len(arrays) != 1:
        return None
    table = next(iter(arrays.values()))
    table = table[:, None] if table.ndim == 1 and len(names) == 1 else table
    if table.ndim != 2 or table.shape[1] != len(names):
        return None
    plain = table.astype(object) if table.dtype.kind in "US" else table
    return pd.DataFrame(plain, columns=list(names)).infer_objects()


def _holds_text(frame: pd.DataFrame | None, names: Sequence[str], evidence: Sequence[Evidence]) -> bool:
    """Whether the samples hold text in a column of which the model does not say that it is a number."""
    if frame is None:
        return False
    return any(
        not known.number and name in frame.columns and not pd.api.types.is_numeric_dtype(frame[name].dtype)
        for name, known in zip(names, evidence, strict=True)
    )


def _hints_text(hints: dict[str, InputHint], names: Sequence[str]) -> bool:
    return any(name in names and hint.dtype == "BYTES" for name, hint in hints.items())


def _apply(hint: InputHint | None, known: Evidence) -> None:
    """What ``--input`` says about a column goes before what the model says."""
    if hint is None:
        return
    known.text, known.number = hint.dtype == "BYTES", hint.dtype != "BYTES"
    known.integer, known.boolean = hint.dtype.startswith(("INT", "UINT")), hint.dtype == "BOOL"
    known.wide |= hint.dtype == "FP64"


def _check(path: Path, column: Column, series: "pd.Series[Any]") -> None:
    if column.kind != "text":
        return
    bad = next((value for value in series if not pd.isna(value) and not isinstance(value, str)), None)
    if bad is not None:
        raise SampleError(
            f"column {column.name!r} of the samples {path.name!r} holds {bad!r}, the model takes text",
            hint="give the columns as the model was trained with them; a CSV file keeps text as it is written",
            detail={"column": column.name},
        )
