"""A graph in ONNX Runtime while it is being made: does it load, and does it answer as the source does."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto

from packager.converters.onnx_files import ORT_ERRORS
from packager.core.errors import ConverterMissing

Array = NDArray[Any]


def session_of(serialised: bytes) -> ort.InferenceSession:
    """ONNX Runtime on a graph.

    Raises:
        ConverterMissing: It does not load the graph; with its words.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors come as exceptions
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(serialised, options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as error:
        raise ConverterMissing(
            f"onnxruntime {ort.__version__} cannot load the graph: {' '.join(str(error).split())[:200]}",
            hint="the model has no form that ONNX Runtime takes at this precision; scale its columns before training",
        ) from error


def loads(model: ModelProto) -> bool:
    """Whether ONNX Runtime takes a graph."""
    try:
        session_of(model.SerializeToString())
    except ConverterMissing:
        return False
    return True


def disagreement(
    session: ort.InferenceSession,
    feeds: Mapping[str, Array],
    expected: Mapping[str, Array],
    *,
    atol: float,
    rtol: float,
) -> int:
    """Values over tolerance, and labels that differ; -1 where the graph stops or gives other shapes."""
    names = [output.name for output in session.get_outputs()]
    try:
        given = dict(zip(names, session.run(names, dict(feeds)), strict=True))
    except ORT_ERRORS:
        return -1
    over = 0
    for name, want in expected.items():
        if name not in given or given[name].shape != want.shape:
            return -1
        over += _over(given[name], want, atol=atol, rtol=rtol)
    return over


def _over(got: Array, want: Array, *, atol: float, rtol: float) -> int:
    if want.dtype.kind in "OUS" or got.dtype.kind in "OUS":
        return int((got.astype(str) != want.astype(str)).sum())
    if got.dtype.kind != "f":
        return int((got != want).sum())
    near = np.isclose(got.astype(np.float64), want.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True)
    return int((~near).sum())
