"""Samples for a model: the user's, or drawn."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.mxnet.fitting import BATCH, LENGTHS, Fitted
from packager.converters.mxnet.translate import Entrance
from packager.converters.sample_files import read_samples, thinned
from packager.core.conversion import ConversionRequest
from packager.core.errors import SampleError

Array = NDArray[Any]
ROWS = 64
STEPS = 8
_FREE = 16
_MOST_VALUES = 1 << 22


def given_arrays(request: ConversionRequest) -> dict[str, Array] | None:
    """The user's samples by input name, the empty name where the file has none; None without samples."""
    if request.samples is None:
        return None
    file = read_samples(request.samples)
    if file.arrays is not None:
        return dict(file.arrays)
    if file.frame is None:
        return {}
    try:
        return {"": file.frame.to_numpy().astype(np.float64)}
    except (ValueError, TypeError) as error:
        raise SampleError(
            f"the samples {request.samples.name!r} hold what is no number: {error}", hint="give numbers only"
        ) from error


def matched(arrays: Mapping[str, Array], names: list[str]) -> dict[str, Array]:
    """Samples for every input.

    Raises:
        SampleError: One is absent.
    """
    inputs = [name for name in names if name != LENGTHS]
    if len(inputs) == 1 and inputs[0] not in arrays:
        others = [name for name in arrays if name != LENGTHS]
        if len(others) == 1:
            return {inputs[0]: arrays[others[0]]}
    missing = [name for name in inputs if name not in arrays]
    if missing:
        raise SampleError(
            f"the samples lack the input {missing[0]!r}",
            hint=f"the model takes {', '.join(inputs)}; the file holds {', '.join(arrays) or 'nothing'}",
        )
    return {name: arrays[name] for name in inputs}


def samples_for(fitted: Fitted, arrays: Mapping[str, Array] | None, request: ConversionRequest) -> dict[str, Array]:
    """Arrays that fit the model's inputs.

    Raises:
        SampleError: The user's do not fit.
    """
    if arrays is None:
        return drawn_samples(fitted, request.seed)
    names = [entrance.name for entrance in fitted.entrances]
    chosen = {name: _checked(entrance, array) for (name, array), entrance in
              zip(matched(arrays, names).items(), fitted.entrances, strict=True)}  # fmt: skip
    by_row = all(entrance.dims and entrance.dims[0].symbol == BATCH for entrance in fitted.entrances)
    rows = {len(array) for array in chosen.values() if array.ndim}
    if by_row and (len(rows) != 1 or 0 in rows):
        raise SampleError(
            f"the samples hold {sorted(rows)} rows by input, expected as many for all, at least one",
            hint="give every input one row a sample",
        )
    if fitted.lengths:
        chosen[LENGTHS] = arrays.get(LENGTHS, _whole(fitted, chosen))
    kept = thinned(rows.pop()) if by_row else slice(None)
    return {name: array[kept] for name, array in chosen.items()}


def _checked(entrance: Entrance, array: Array) -> Array:
    wanted = [dim.fixed for dim in entrance.dims]
    fits = array.ndim == len(wanted) and all(
        size is None or size == given for size, given in zip(wanted, array.shape, strict=True)
    )
    if not fits:
        shape = ", ".join("any" if size is None else str(size) for size in wanted)
        raise SampleError(
            f"the samples have the shape {list(array.shape)} for {entrance.name!r}, which takes [{shape}]",
            hint="give one row a sample",
        )
    if array.dtype.kind not in "biuf":
        raise SampleError(f"the samples of {entrance.name!r} are {array.dtype}, not numbers", hint="give numbers")
    return array


def _whole(fitted: Fitted, chosen: Mapping[str, Array]) -> Array:
    """The lengths of sequences without padding."""
    for entrance in fitted.entrances:
        for axis, dim in enumerate(entrance.dims):
            if dim.symbol in fitted.translation.graph.sequence:
                array = chosen[entrance.name]
                return np.full(len(array), array.shape[axis], np.int64)
    raise SampleError("the samples lack the input 'lengths'", hint="add it: one INT64 a row")


def drawn_samples(fitted: Fitted, seed: int) -> dict[str, Array]:
    """Normal numbers, and indices for inputs that choose from a vocabulary."""
    graph, rng = fitted.translation.graph, np.random.default_rng(seed)
    shapes = {
        entrance.name: [_drawn_size(str(dim.symbol), graph.sequence) if dim.fixed is None else dim.fixed
                        for dim in entrance.dims]
        for entrance in fitted.entrances
    }  # fmt: skip
    by_row = [entrance.name for entrance in fitted.entrances if entrance.dims and entrance.dims[0].symbol == BATCH]
    values = sum(int(np.prod(shapes[name][1:])) for name in by_row) or 1
    rows = max(1, min(ROWS, _MOST_VALUES // values))
    samples = {}
    for entrance in fitted.entrances:
        shape = [rows if dim.symbol == BATCH else length
                 for dim, length in zip(entrance.dims, shapes[entrance.name], strict=True)]  # fmt: skip
        most = graph.vocabularies.get(entrance.name)
        numbers = rng.standard_normal(shape) if most is None else rng.integers(0, most, shape)
        if most is None and entrance.dtype.kind != "f":
            numbers = rng.integers(0, 2, shape)
        samples[entrance.name] = numbers.astype(entrance.dtype)
    if fitted.lengths:
        samples[LENGTHS] = rng.integers(1, STEPS + 1, rows, dtype=np.int64)
        samples[LENGTHS][0] = STEPS
    return samples


def _drawn_size(symbol: str, sequences: set[str]) -> int:
    return STEPS if symbol in sequences else _FREE
