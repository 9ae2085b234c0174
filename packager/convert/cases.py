"""Test cases for the package: rows that matter, and the source's answers to exactly the stored values."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.core.conversion import TestCase
from runtime.contract.dtypes import DTYPES, Datatype
from runtime.contract.manifest import Signature, TensorSpec
from runtime.contract.tensors import TensorFile, dump_tensor

Array = NDArray[Any]
SIZES = (1, 3, 64)
MAX_CASE_BYTES = 4 << 20
# Nearer than this to another label, and another processor's rounding may answer differently.
MARGIN = 1e-3


def make_cases(
    signature: Signature,
    feeds: Mapping[str, Array],
    expected: Mapping[str, Array],
    *,
    usable: NDArray[np.bool_],
    sizes: tuple[int, ...] = SIZES,
    margin: float = MARGIN,
) -> tuple[TestCase, ...]:
    """Cases of 1, 3 and up to 64 rows: both ends of every output, every label, then evenly spaced rows.

    Args:
        feeds: Inputs in the types of the signature.
        expected: Answers to ``feeds`` for every output, by name.
        usable: Rows that ONNX answers within tolerance.
        margin: Rows whose label is a closer call than this are left out where others are there.
    """
    order = _order(feeds, expected, usable & _steady(expected, margin), usable)
    largest = max(1, min(len(order), _rows_within_bytes(feeds, expected)))
    counts = sorted({min(size, largest) for size in sizes})
    return tuple(_case(signature, feeds, expected, order[:count]) for count in counts)


def whole_case(signature: Signature, feeds: Mapping[str, Array], expected: Mapping[str, Array]) -> TestCase:
    """One case of all these rows, for a model whose number of rows is fixed or matters."""
    return _case(signature, feeds, expected, slice(None))


def _order(
    feeds: Mapping[str, Array], expected: Mapping[str, Array], steady: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> Array:
    """Row numbers, those that matter most first; each once."""
    rows = np.flatnonzero(steady if steady.any() else usable if usable.any() else np.ones(len(usable), bool))
    plain = rows[[all(_finite(value[row : row + 1]) for value in feeds.values()) for row in rows]]
    special = [row for output in expected.values() for row in _ends(output, plain if len(plain) else rows)]
    missing = np.setdiff1d(rows, plain)[:2]
    spaced = rows[np.linspace(0, len(rows) - 1, min(len(rows), 256)).astype(int)]
    return np.array(list(dict.fromkeys(int(row) for row in (*special, *missing, *spaced))))


def _ends(output: Array, rows: Array) -> list[int]:
    values = output[rows].reshape(len(rows), -1)
    if values.dtype.kind == "f":
        last = np.nan_to_num(values[:, -1])
        return [int(rows[last.argmax()]), int(rows[last.argmin()])]
    _, first = np.unique(values[:, 0].astype(str), return_index=True)
    return [int(rows[index]) for index in first[:8]]


def _steady(expected: Mapping[str, Array], margin: float) -> NDArray[np.bool_]:
    """Rows whose label is not a close call; all rows of a model without labels."""
    rows = len(next(iter(expected.values())))
    steady = np.ones(rows, bool)
    if all(output.dtype.kind == "f" for output in expected.values()):
        return steady
    for output in expected.values():
        if output.dtype.kind != "f":
            continue
        with np.errstate(invalid="ignore"):
            if output.ndim == 2 and output.shape[1] > 1:
                top = np.sort(output, axis=1)
                steady &= top[:, -1] - top[:, -2] > margin
            else:
                steady &= np.abs(output.reshape(rows, -1)).min(axis=1) > margin
    return steady


def _finite(values: Array) -> bool:
    return values.dtype.kind != "f" or bool(np.isfinite(values).all())


def _rows_within_bytes(feeds: Mapping[str, Array], expected: Mapping[str, Array]) -> int:
    row_bytes: int = sum(max(1, value[:1].size) * 8 for value in (*feeds.values(), *expected.values()))
    return MAX_CASE_BYTES // row_bytes


def _case(signature: Signature, feeds: Mapping[str, Array], expected: Mapping[str, Array], rows: Any) -> TestCase:
    return TestCase(
        inputs=tuple(_tensor(spec, feeds[spec.name][rows]) for spec in signature.inputs),
        outputs=tuple(_tensor(spec, expected[spec.name][rows]) for spec in signature.outputs),
    )


def _tensor(spec: TensorSpec, values: Array) -> bytes:
    return dump_tensor(TensorFile(spec.name, spec.dtype, values.shape, _elements(values, spec.dtype)))


def _elements(values: Array, dtype: Datatype) -> bytes | tuple[bytes, ...]:
    if dtype == "BYTES":
        return tuple(value if isinstance(value, bytes) else str(value).encode() for value in values.ravel())
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(values.astype(DTYPES[dtype].numpy)).tobytes()
