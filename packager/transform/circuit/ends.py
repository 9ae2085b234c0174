"""The host's parts of a cut model, run by ONNX Runtime: to the circuit's input, and from its answer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from packager.converters.onnx_files import ORT_ERRORS
from packager.core.errors import CircuitRefused, SampleError
from packager.transform.circuit.frontend import Cut
from packager.transform.circuit.network import Floats


def run_model(model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """A model's answers by output name; feeds that it does not take are left away.

    Raises:
        CircuitRefused: It does not run so.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    taken = {one.name: feeds[one.name] for one in session.get_inputs()}
    names = [one.name for one in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, taken), strict=True))
    except ORT_ERRORS as error:
        raise CircuitRefused(
            f"the model, or a part of it, does not run on {len(next(iter(taken.values()), ()))} rows at once:"
            f" {' '.join(str(error).split())[:300]}",
            hint="export it with a free batch axis",
        ) from error


def to_circuit(cut: Cut, feeds: Mapping[str, NDArray[Any]]) -> Floats:
    """The numbers that reach the circuit for a request's tensors.

    Raises:
        SampleError: A row has not the shape that the circuit takes.
    """
    found = feeds if cut.before is None else run_model(cut.before, feeds)
    rows = np.asarray(found[cut.entry], np.float64)
    if rows.shape[1:] != cut.network.shape:
        raise SampleError(f"rows of shape {rows.shape[1:]} reach the circuit, which takes {cut.network.shape}")
    return rows


def from_circuit(cut: Cut, answers: Floats, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The model's outputs for the numbers that the circuit gave."""
    told = answers.astype(np.float32)
    return {cut.exit: told} if cut.after is None else run_model(cut.after, {**feeds, cut.exit: told})
