"""What a run costs on this machine, measured when a model is loaded: where it may run, and whether a batch pays."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from runtime.contract.dtypes import DTYPES
from runtime.contract.errors import DrayError
from runtime.engine.runs import Array, count_rows
from runtime.engine.session import OnnxModel, values_as_array

# A run that takes longer must not hold up the event loop.
INLINE_NS = 1_000_000
_REPEATS = 3
_BUDGET_NS = 40_000_000
_MOST_ROWS = 64
# A batch of twice the rows pays where it takes less than this share of the time of two.
_PAYS = 0.9


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one model, with nobody else running.

    Attributes:
        run_ns: One run of one row, or of one call where rows are not free.
        best_rows: Rows up to which a row gets cheaper in a larger batch; 1 where requests must not or need not share.
        best_ns: A run of so many rows.
        row_ns: What a row adds to a run of many; 0 where a run has no rows.
    """

    run_ns: int
    best_rows: int = 1
    best_ns: int = 0
    row_ns: float = 0.0

    @property
    def inline(self) -> bool:
        """Whether it may run on the event loop."""
        return self.run_ns <= INLINE_NS

    @property
    def inline_rows(self) -> float:
        """Up to how many rows a run may have on the event loop."""
        return INLINE_NS / self.row_ns if self.row_ns > 0 else math.inf


def measure(model: OnnxModel) -> Costs:
    """Run the package's own test data, and batches of its first row."""
    inputs = sample_inputs(model)
    if model.manifest.preprocessing is not None:
        # What a text costs depends on its length: however fast the first one was, none may hold up the event loop.
        return Costs(max(_time(model, inputs), INLINE_NS + 1))
    if not shares_runs(model) or any(value.size == 0 for value in inputs.values()):
        run_ns, rows = _time(model, inputs), count_rows(inputs)
        counted = model.manifest.signature.batch_dim is not None and rows > 0
        return Costs(run_ns, row_ns=run_ns / rows if counted else 0.0)
    return _of_batches(model, {name: value[:1] for name, value in inputs.items()})


def sample_inputs(model: OnnxModel) -> dict[str, Array]:
    """The inputs of the package's first test data set."""
    case = model.package.test_data_sets()[0]
    return {
        spec.name: values_as_array(tensor.values, tensor.shape, DTYPES[tensor.dtype].numpy)
        for spec, tensor in zip(model.manifest.signature.inputs, case.inputs, strict=True)
    }


def shares_runs(model: OnnxModel) -> bool:
    """Whether rows of several requests may go through the graph together: proven, and first in every tensor."""
    signature = model.manifest.signature
    tensors = (*signature.inputs, *signature.outputs)
    proven = model.package.certificate.batch_safety.batchable and signature.batch_dim is not None
    return proven and all(spec.shape and spec.shape[0] == signature.batch_dim for spec in tensors)


def _of_batches(model: OnnxModel, row: Mapping[str, Array]) -> Costs:
    began = time.perf_counter_ns()
    single = taken = _time(model, row)
    rows, best_rows, best_ns = 1, 1, single
    while rows < _MOST_ROWS and taken <= INLINE_NS and time.perf_counter_ns() - began < _BUDGET_NS:
        rows *= 2
        try:
            now = _time(model, {name: np.repeat(value, rows, axis=0) for name, value in row.items()})
        except DrayError:
            break
        if now > _PAYS * 2 * taken or now > INLINE_NS:
            break
        taken, best_rows, best_ns = now, rows, now
    return Costs(single, best_rows, best_ns, best_ns / best_rows)


def _time(model: OnnxModel, inputs: Mapping[str, Array]) -> int:
    """The fastest of a few runs: what disturbs one only makes it slower."""
    taken = []
    for _ in range(_REPEATS):
        started = time.perf_counter_ns()
        model.run(inputs)
        taken.append(time.perf_counter_ns() - started)
        if taken[-1] > _BUDGET_NS:
            break
    return min(taken)
