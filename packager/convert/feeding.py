"""Rows through ONNX Runtime in batches of a size, and values as HTTP would bring them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from packager.convert.graph import CheckedGraph
from packager.converters.onnx_files import ORT_ERRORS
from packager.core.errors import ConversionError, SampleError
from runtime.contract.dtypes import DTYPES
from runtime.contract.manifest import Signature

if TYPE_CHECKING:
    from packager.convert.texts import TextSession

Array = NDArray[Any]
Arrays = dict[str, Array]


def as_sent(samples: Mapping[str, Array], signature: Signature) -> Arrays:
    """The samples as the runtime reads them from JSON: numbers, parsed to each input's type.

    JSON carries a float64 exactly, so parsing it to a narrower type rounds once, as a cast does: the same feed serves
    both comparisons, and what differs between them is what the source was fed.

    Raises:
        SampleError: An input is absent, or its values do not fit its type.
    """
    missing = [spec.name for spec in signature.inputs if spec.name not in samples]
    if missing:
        raise SampleError(
            f"the samples lack the input {missing[0]!r}", hint=f"they hold {', '.join(sorted(samples)) or 'nothing'}"
        )
    feeds = {}
    for spec in signature.inputs:
        given = samples[spec.name]
        try:
            feeds[spec.name] = _cast(given, DTYPES[spec.dtype].numpy)
        except (ValueError, TypeError) as error:
            raise SampleError(
                f"the samples of {spec.name!r} are {given.dtype}, the model takes {spec.dtype}: {error}",
                hint="give the values in the model's own type",
            ) from error
    return feeds


def run_in_batches(
    session: "ort.InferenceSession | TextSession", feeds: Mapping[str, Array], size: int, *, order: Array | None = None
) -> Arrays:
    """Outputs for all rows, ``size`` at a time (the last batch may be smaller), joined in the order of the rows.

    Args:
        order: Row indices in which the rows are fed; the outputs are put back in the original order.

    Raises:
        ConversionError: ONNX Runtime stops at these rows.
    """
    rows = row_count(feeds)
    sequence = np.arange(rows) if order is None else order
    names = [output.name for output in session.get_outputs()]
    if any(len(value) != rows for value in feeds.values()):  # a sample is a whole call
        return dict(zip(names, map(np.atleast_1d, _run(session, names, feeds)), strict=True))
    parts: list[list[Array]] = []
    if size >= rows and order is None:  # a whole call, whose inputs may differ in their first axes
        return {name: np.atleast_1d(part) for name, part in zip(names, _run(session, names, dict(feeds)), strict=True)}
    for start in range(0, rows, size):
        chosen = sequence[start : start + size]
        parts.append(_run(session, names, {name: value[chosen] for name, value in feeds.items()}))
    joined = {name: np.concatenate([np.atleast_1d(part[index]) for part in parts]) for index, name in enumerate(names)}
    if order is None:
        return joined
    back = np.argsort(order)
    return {name: value[back] if len(value) == rows else value for name, value in joined.items()}


def row_count(feeds: Mapping[str, Array]) -> int:
    """Rows of the samples: of the longest input, which matters only where a sample is a whole call."""
    return max(len(value) for value in feeds.values())


def chosen_rows(feeds: Mapping[str, Array], rows: Array | slice) -> Arrays:
    """Some rows of all inputs, or of all answers."""
    return {name: value[rows] for name, value in feeds.items()}


def batch_sizes(graph: CheckedGraph, feeds: Mapping[str, Array], free: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes to run at: ``free`` ones, or the one that the model is fixed at."""
    if graph.single_call:
        return (row_count(feeds),)
    return free if graph.rows_per_call is None else (graph.rows_per_call,)


def _run(session: "ort.InferenceSession | TextSession", names: list[str], feeds: Mapping[str, Array]) -> list[Array]:
    try:
        results: list[Array] = session.run(names, dict(feeds))
    except ORT_ERRORS as error:
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in feeds.items())
        raise ConversionError(
            f"onnxruntime stops at samples of shape {shapes}: {' '.join(str(error).split())[:300]}",
            hint="the graph does not take such rows; check the samples, or export it with a free batch axis",
        ) from error
    return results


def _cast(values: Array, numpy_type: str) -> Array:
    if numpy_type == "O":
        if values.dtype.kind not in "OUS":
            raise ValueError("strings are needed")
        return values.astype(str).astype(object)
    target = np.dtype(numpy_type)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{values.dtype} is not a number")
    with np.errstate(all="ignore"):
        cast = values.astype(target)
    if target.kind in "iu" and not np.array_equal(cast.astype(values.dtype), values):
        raise ValueError("not all values are whole numbers of that type")
    return np.ascontiguousarray(cast)
