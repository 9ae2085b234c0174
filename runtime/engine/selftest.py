"""The self-test: a model repeats the answers of its source before anyone else may ask it."""

from dataclasses import dataclass

from runtime.contract.closeness import compare_answer
from runtime.contract.dtypes import DTYPES
from runtime.contract.package import TestDataSet
from runtime.contract.tensors import TensorFile
from runtime.engine.runs import Array
from runtime.engine.session import OnnxModel, values_as_array
from runtime.errors import RefusedByModel, SelfTestFailed


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of one test data set.

    Attributes:
        problem: Output, place, expected and actual value; None when every answer is right.
        max_abs_error: Over the finite floats; None where there are none.
    """

    name: str
    problem: str | None
    max_abs_error: float | None = None


def self_test(model: OnnxModel) -> int:
    """Replay every test data set of the package; their number.

    Raises:
        SelfTestFailed: Names the output, the place, the expected and the actual value.
        PackageInvalid: There are no test data, or they cannot be read.
    """
    cases = model.package.test_data_sets()
    for case in cases:
        problem = replay(model, case).problem
        if problem is not None:
            raise SelfTestFailed(
                f"the self-test of {model.manifest.name!r} on {model.providers[0]} failed: {case.name}: {problem}",
                hint="the package's answers were changed, or this machine computes differently; package it again here",
                detail={"test_data_set": case.name, "problem": problem, "provider": model.providers[0]},
            )
    return len(cases)


def replay(model: OnnxModel, case: TestDataSet) -> Replay:
    """One test data set, asked of the model as it runs now."""
    signature = model.manifest.signature
    inputs = {spec.name: _array(tensor) for spec, tensor in zip(signature.inputs, case.inputs, strict=True)}
    try:
        outputs = model.run(inputs)
    except RefusedByModel as error:
        return Replay(case.name, error.message)
    largest: float | None = None
    for spec, expected in zip(signature.outputs, case.outputs, strict=True):
        actual, held = outputs[spec.name], model.package.tolerance(spec.name)
        values = actual.reshape(-1).tolist()
        found = compare_answer(expected, values, actual.shape, atol=held.atol, rtol=held.rtol, rms=held.rms)
        if found.max_abs_error is not None:
            largest = max(largest or 0.0, found.max_abs_error)
        if found.problem is not None:
            return Replay(case.name, found.problem, largest)
    return Replay(case.name, None, largest)


def _array(tensor: TensorFile) -> Array:
    return values_as_array(tensor.values, tensor.shape, DTYPES[tensor.dtype].numpy)
