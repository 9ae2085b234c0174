"""The rows that set the ranges of integers: of --calibration, of --samples, or the conversion's own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.convert.feeding import Arrays, as_sent, row_count
from packager.converters.sample_files import SampleFile, read_samples
from packager.core.errors import SampleError
from packager.transform.subject import Subject, calls_of, graph_call
from packager.transform.tools import silenced
from runtime.contract.manifest import Signature, TensorSpec
from runtime.contract.transformation import Calibration


@dataclass(frozen=True, slots=True)
class CalibrationRows:
    """Inputs of one run after the other, and what to say of them."""

    calls: list[Arrays]
    about: Calibration


def calibration_rows(subject: Subject, file: Path | None) -> CalibrationRows:
    """The rows of the file, else those that the conversion was proven with.

    Raises:
        SampleError: The file cannot be read, or does not fit the model.
    """
    if file is not None:
        feeds = as_sent(_by_input(file, subject.graph.signature), subject.graph.signature)
        origin, weak = "calibration-file", False
    else:
        feeds = subject.feeds
        origin, weak = ("synthetic", True) if subject.raw.synthetic else ("samples", False)
    calls = calls_of(subject.graph, feeds)
    if not calls:
        raise SampleError(
            f"calibration needs {subject.graph.rows_per_call} rows at once, and there are {row_count(feeds)}",
            hint="give more rows with --calibration FILE",
        )
    rows = sum(row_count(call) for call in calls)
    calls = [graph_call(subject.raw, call) for call in calls]
    return CalibrationRows(calls, Calibration.model_validate({"rows": rows, "origin": origin, "weak": weak}))


def _by_input(path: Path, signature: Signature) -> dict[str, NDArray[Any]]:
    names = [column for spec in signature.inputs for column in spec.columns or (spec.name,)]
    texts = frozenset(spec.name for spec in signature.inputs if spec.dtype == "BYTES")
    with silenced():  # pandas 3.1 warns of an option by which numbers are read exactly
        file = read_samples(path, columns=names, texts=texts)
    arrays = dict(file.arrays or {})
    if file.frame is not None:
        arrays = {spec.name: _of_frame(file, spec, len(signature.inputs)) for spec in signature.inputs}
    if len(signature.inputs) == 1 and len(arrays) == 1:
        arrays = {signature.inputs[0].name: next(iter(arrays.values()))}
    for spec in signature.inputs:
        if spec.name in arrays:
            _check_shape(path, spec, arrays[spec.name].shape)
    return arrays


def _of_frame(file: SampleFile, spec: TensorSpec, inputs: int) -> NDArray[Any]:
    """An input's values from a frame: the column of its name, its named columns, or all."""
    if (frame := file.frame) is None:
        return np.empty(0)
    if spec.name in frame.columns and (inputs > 1 or not spec.columns):
        values: NDArray[Any] = frame[spec.name].to_numpy()
        return values.reshape(-1, 1) if len(spec.shape) == 2 else values
    named = spec.columns is not None and set(spec.columns) <= set(map(str, frame.columns))
    chosen: NDArray[Any] = (frame[list(spec.columns or ())] if named else frame).to_numpy()
    return chosen


def _check_shape(path: Path, spec: TensorSpec, shape: tuple[int, ...]) -> None:
    fits = len(shape) == len(spec.shape) and all(
        isinstance(dim, str) or size == dim for dim, size in zip(spec.shape[1:], shape[1:], strict=True)
    )
    if not fits or 0 in shape:
        raise SampleError(
            f"the calibration rows {path.name!r} have the shape {list(shape)} for {spec.name!r}, which takes"
            f" {list(spec.shape)}",
            hint="give one row a sample, as in --samples",
        )
