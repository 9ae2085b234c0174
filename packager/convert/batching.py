"""The batch-safety proof: whether a row's answer depends on the rows beside it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.convert.feeding import Arrays, chosen_rows, row_count, run_in_batches
from packager.convert.graph import CheckedGraph
from packager.convert.parity import Tolerance, compare
from packager.core.errors import ConversionError
from runtime.contract.certificate import BatchSafety

Array = NDArray[Any]
# Neither is a size that vectorised kernels favour, so remainders are exercised too.
FREE_SIZES = (7, 33)
MAX_ROWS = 256


def prove(graph: CheckedGraph, feeds: Mapping[str, Array], *, tolerance: Tolerance, seed: int) -> BatchSafety:
    """Rows one by one against batches of two free sizes, in order and shuffled."""
    if graph.signature.batch_dim is None:
        size = graph.rows_per_call
        why = "its inputs share no free first axis" if size is None else f"its first axis is fixed at {size}"
        return BatchSafety(batchable=False, reason=why)
    bare = [
        spec.name for spec in graph.signature.outputs if not spec.shape or spec.shape[0] != graph.signature.batch_dim
    ]
    if bare:
        return BatchSafety(batchable=False, reason=f"output {bare[0]!r} has no axis for the rows")
    rows = min(row_count(feeds), MAX_ROWS)
    some = chosen_rows(feeds, np.linspace(0, row_count(feeds) - 1, rows).astype(np.int64))
    if rows < 2:
        return BatchSafety(batchable=False, reason="one sample proves nothing about batches; give more with --samples")
    try:
        alone = run_in_batches(graph.session, some, 1)
    except ConversionError as error:
        return BatchSafety(batchable=False, reason=f"it does not run on one row: {error.message}")
    return _against(alone, graph, some, tolerance, np.random.default_rng(seed))


def _against(
    alone: Arrays, graph: CheckedGraph, feeds: Arrays, tolerance: Tolerance, rng: np.random.Generator
) -> BatchSafety:
    rows = row_count(feeds)
    for size in FREE_SIZES:
        for shuffled in (False, True):
            how = f"{'shuffled ' if shuffled else ''}batches of {min(size, rows)}"
            order = rng.permutation(rows) if shuffled else None
            try:
                together = run_in_batches(graph.session, feeds, size, order=order)
            except ConversionError as error:
                return BatchSafety(batchable=False, reason=f"it does not run in {how}: {error.message}")
            if reason := _difference(alone, together, tolerance):
                return BatchSafety(batchable=False, reason=f"in {how}, {reason}")
    sizes = " and ".join(str(min(size, rows)) for size in FREE_SIZES)
    return BatchSafety(
        batchable=True, reason=f"{rows} rows gave the same answers one by one and in batches of {sizes}, shuffled too"
    )


def _difference(alone: Arrays, together: Arrays, tolerance: Tolerance) -> str | None:
    for name, value in alone.items():
        if together[name].shape != value.shape:
            return f"output {name!r} has the shape {list(together[name].shape)} instead of {list(value.shape)}"
    comparison = compare(alone, [together], tolerance)
    for name, deviation in comparison.outputs.items():
        if not deviation.passed:
            place = f"row {deviation.worst_row} of output {name!r}"
            return f"{place} is {deviation.actual!r}, alone it is {deviation.expected!r}"
    return None
