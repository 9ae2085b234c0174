"""Test data of a package as requests, and what came back against what was expected."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isinf, isnan
from typing import Any

from packager.core.artifact import ModelPackage
from runtime.contract.closeness import compare_answer
from runtime.contract.dtypes import DTYPES
from runtime.contract.manifest import OutputTolerance, TensorSpec
from runtime.contract.package import TestDataSet
from runtime.contract.tensors import TensorFile
from runtime.contract.wire import InferenceRequest, InferenceResponse, RequestedOutput, Tensor, TensorMetadata


@dataclass(frozen=True, slots=True)
class Verdict:
    """One test data set against the answer to it; ``problem`` is None where every output is right."""

    max_abs_error: float | None
    problem: str | None


def rows_of(case: TestDataSet) -> int:
    """Rows of the first input; 1 for a scalar."""
    shape = case.inputs[0].shape if case.inputs else ()
    return shape[0] if shape else 1


def request_for(case: TestDataSet) -> InferenceRequest | None:
    """The test data as a request for all outputs that JSON can carry; None where it cannot carry the inputs or any."""
    expected = answerable(case)
    if not expected or not all(_is_text(tensor) for tensor in case.inputs):
        return None
    return InferenceRequest(
        inputs=[_wire(tensor) for tensor in case.inputs],
        outputs=[RequestedOutput(name=tensor.name) for tensor in expected],
    )


def answerable(case: TestDataSet) -> tuple[TensorFile, ...]:
    """The expected outputs that JSON can carry: it has no infinity, and text that is not UTF-8 cannot be told apart."""
    return tuple(tensor for tensor in case.outputs if _is_text(tensor) and not _holds_infinity(tensor))


def judge(case: TestDataSet, answer: InferenceResponse, package: ModelPackage) -> Verdict:
    """The largest deviation, and the first output that is further from the test data than the package declares."""
    outputs = {tensor.name: tensor for tensor in answer.outputs}
    largest: float | None = None
    for expected in answerable(case):
        if (actual := outputs.get(expected.name)) is None:
            return Verdict(largest, f"output {expected.name!r} is absent, the answer has {sorted(outputs)}")
        verdict = _compare(expected, actual, package.tolerance(expected.name))
        if verdict.max_abs_error is not None:
            largest = max(largest or 0.0, verdict.max_abs_error)
        if verdict.problem:
            return Verdict(largest, verdict.problem)
    return Verdict(largest, None)


def _compare(expected: TensorFile, actual: Tensor, tolerance: OutputTolerance) -> Verdict:
    if actual.datatype != expected.dtype:
        return Verdict(None, f"output {expected.name!r} is of type {actual.datatype}, expected {expected.dtype}")
    values = list(_flat(actual.data))
    if DTYPES[expected.dtype].is_float and (strange := [v for v in values if not _is_number(v)]):
        return Verdict(None, f"output {expected.name!r} holds {strange[0]!r}, expected numbers")
    result = compare_answer(expected, values, actual.shape, atol=tolerance.atol, rtol=tolerance.rtol, rms=tolerance.rms)
    return Verdict(result.max_abs_error, result.problem)


def metadata_of(spec: TensorSpec) -> TensorMetadata:
    """The tensor as the protocol's metadata describes it: -1 for a free axis."""
    shape = [dim if isinstance(dim, int) else -1 for dim in spec.shape]
    return TensorMetadata(name=spec.name, datatype=spec.dtype, shape=shape)


def describe(tensors: Sequence[TensorMetadata]) -> list[str]:
    """``name DTYPE[shape]`` of each, to compare and to show."""
    return [f"{tensor.name} {tensor.datatype}{tensor.shape}" for tensor in tensors]


def _wire(tensor: TensorFile) -> Tensor:
    values = tensor.to_list()
    if DTYPES[tensor.dtype].is_float:
        values = [None if isnan(value) else value for value in values]
    return Tensor(name=tensor.name, shape=list(tensor.shape), datatype=tensor.dtype, data=values)


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _holds_infinity(tensor: TensorFile) -> bool:
    return DTYPES[tensor.dtype].is_float and any(isinf(value) for value in tensor.to_list())


def _is_text(tensor: TensorFile) -> bool:
    if not isinstance(tensor.values, tuple):
        return True
    try:
        return all(item.decode() is not None for item in tensor.values)
    except UnicodeDecodeError:
        return False
