"""Rows to compare on: the user's, or drawn by what the model says of its inputs."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from packager.converters.sample_files import arrays_by_input, thinned
from packager.converters.tensorflow.source import Array, Arrays, Port, Source, Values
from packager.core.conversion import ConversionRequest
from packager.core.errors import ConversionError, ConverterMissing, SampleError
from runtime.contract.certificate import Coverage
from runtime.contract.dtypes import DTYPES

ROWS = 64
MAX_GIVEN_ROWS = 2000
_MOST_VALUES = 1 << 22
_LEAST_ROWS = 4
# Sizes of free axes, and ends of whole numbers, that are tried until the model takes a row: a negative end is the lower
# one too, since division and remainder differ below 0.
SIZES = (7, 32, 96, 224, 2)
_ENDS = (-10, 10, 2, 1)
_WORDS = ("", "a", "word", "two words", "naïve", "0")
_UNKNOWN = "zzz unknown"


def chosen_samples(source: Source, request: ConversionRequest) -> tuple[Arrays, Coverage]:
    """The user's rows, or drawn ones, and what they show of the model.

    Raises:
        SampleError: The user's do not fit, or the model takes none that dray can draw.
    """
    if request.samples is not None:
        return _given(request.samples, source.inputs), Coverage()
    drawn, size = _accepted(source, request.seed)
    parts = ["samples drawn by type and shape alone"]
    if source.values:
        parts = [f"samples drawn by type and shape, and from the vocabulary of {', '.join(sorted(source.values))}"]
    if size is not None:
        parts.append(f"free axes have {size} places in them")
    example = source.example
    if example and all(
        port.name in example and example[port.name].shape[1:] == drawn[port.name].shape[1:] for port in source.inputs
    ):
        drawn = {name: np.concatenate([example[name].astype(value.dtype), value]) for name, value in drawn.items()}
    return drawn, Coverage(weak=True, reason="; ".join(parts))


def drawn_rows(source: Source, rng: np.random.Generator, *, rows: int, size: int, end: int) -> Arrays:
    """Rows of every input.

    Args:
        size: Of free axes behind the first; ``end``: whole numbers are below it where nothing else is known, and
            from it to its opposite where it is negative.
    """
    drawn = {port.name: _values(port, source.values.get(port.name), rng, rows, size, end) for port in source.inputs}
    return {name: np.asarray(value) for name, value in drawn.items()}  # numpy draws a single value as no array


def _accepted(source: Source, seed: int) -> tuple[Arrays, int | None]:
    """The first kind of rows that the model answers; the source's own words where it takes none."""
    problem: Exception | None = None
    for size, end in _kinds(source):
        rows = _row_count(source.inputs, size)
        drawn = drawn_rows(source, np.random.default_rng(seed), rows=rows, size=size, end=end)
        try:
            _refuse_moods(source, call_of(source, drawn, 0))
        except ConverterMissing:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the model's own graph raises
            problem = error
            continue
        return drawn, size if any(port.free_axes for port in source.inputs) else None
    raise SampleError(
        f"the model stops at every row that dray can draw: {' '.join(str(problem).split())[:300]}",
        hint="give rows that it takes with --samples FILE",
    )


def _refuse_moods(source: Source, feeds: Arrays) -> None:
    """Refuse a model that answers the same row in two ways."""
    once, again = source.ask(feeds), source.ask(feeds)
    for name, value in once.items():
        same = np.array_equal(value, again[name], equal_nan=value.dtype.kind == "f")
        if not same and not (value.dtype.kind == "f" and np.allclose(value, again[name], atol=1e-6, equal_nan=True)):
            raise ConverterMissing(
                f"the model answers the same row in two ways ({name!r}): it draws random numbers, or keeps state",
                hint="export it as it is used: with training=False, without sampling layers and stateful=True",
            )


def _kinds(source: Source) -> Iterator[tuple[int, int]]:
    sizes = SIZES if any(port.free_axes for port in source.inputs) else SIZES[:1]
    whole = any(DTYPES[port.dtype].numpy[1:2] in "iu" for port in source.inputs)
    return ((size, end) for size in sizes for end in (_ENDS if whole else _ENDS[:1]))


def call_of(source: Source, samples: Mapping[str, Array], index: int) -> Arrays:
    """The feeds of one call: one row where rows are free, else everything that the model takes at once."""
    if not source.free_rows:
        sizes = {
            port.name: (port.shape or (None,))[0] or len(samples[port.name]) for port in source.inputs if port.shape
        }
        return {
            name: value[index * sizes[name] : (index + 1) * sizes[name]] if name in sizes else value
            for name, value in samples.items()
        }
    return {name: value[index : index + 1] for name, value in samples.items()}


def call_count(source: Source, samples: Mapping[str, Array]) -> int:
    """How many calls the samples are."""
    if source.free_rows:
        return len(next(iter(samples.values())))
    counts = [len(samples[port.name]) // size for port in source.inputs if port.shape and (size := port.shape[0])]
    return min(counts, default=1)


def _row_count(inputs: tuple[Port, ...], size: int) -> int:
    values = sum(math.prod(s or size for s in (port.shape or ())[1:]) for port in inputs)
    return max(_LEAST_ROWS, min(ROWS, _MOST_VALUES // max(1, values)))


def _values(port: Port, known: Values | None, rng: np.random.Generator, rows: int, size: int, end: int) -> Array:
    shape = list(port.shape or ())
    if shape:
        fixed = shape[0]
        shape[0] = rows if fixed is None else fixed * max(1, rows // fixed)
    whole = tuple(size if axis is None else axis for axis in shape)
    kind = DTYPES[port.dtype].numpy[1:2]
    if port.dtype == "BYTES":
        texts = [str(key) for key in known.known] + [_UNKNOWN] if known and known.known else list(_WORDS)
        return np.array(rng.choice(np.array(texts, object), whole), dtype=object)
    if port.dtype == "BOOL":
        return rng.random(whole) < 0.5
    if kind not in "iu":
        return rng.standard_normal(whole).astype(DTYPES[port.dtype].numpy)
    return _whole_numbers(port, known, rng, whole, end)


def _whole_numbers(
    port: Port, known: Values | None, rng: np.random.Generator, shape: tuple[int, ...], end: int
) -> Array:
    """Keys of a table and one that is not in it, numbers below a limit, or small ones; images from 0 to 255.

    Every second row ends in zeros, which is how sequences are padded.
    """
    numpy_type = DTYPES[port.dtype].numpy
    if known and known.known:
        keys = [int(key) for key in known.known]
        drawn = rng.choice(np.array([*keys, max(keys) + 1]), shape)
    else:
        top = known.limit if known and known.limit else 256 if port.dtype == "UINT8" and len(shape) > 2 else abs(end)
        bottom = end if end < 0 and known is None and port.dtype.startswith("INT") else 0
        drawn = rng.integers(bottom, max(1, top), shape)
        if len(shape) == 2 and shape[1] > 2:
            for row in range(1, shape[0], 2):
                drawn[row, int(rng.integers(1, shape[1])) :] = 0
    return np.asarray(drawn).astype(numpy_type)


def _given(path: Path, inputs: tuple[Port, ...]) -> Arrays:
    """The user's samples by input name."""
    arrays = arrays_by_input(path, [port.name for port in inputs])
    taken = {port.name: _fitted(path, port, arrays[port.name]) for port in inputs}
    rows = {len(value) for value in taken.values() if value.ndim}
    if len(rows) != 1 or 0 in rows:
        raise SampleError(
            f"the samples {path.name!r} hold {sorted(rows)} rows by input, expected the same number, at least one",
            hint="give every input one row a sample",
        )
    fixed = not all(port.free_rows for port in inputs)
    kept = slice(None) if fixed else thinned(rows.pop(), limit=MAX_GIVEN_ROWS)
    return {name: value[kept] for name, value in taken.items()}


def _fitted(path: Path, port: Port, values: Array) -> Array:
    """Values of the input's shape and kind; a column of a frame becomes a column of a matrix."""
    shape = port.shape
    if shape is not None and values.ndim == 1 and len(shape) == 2 and shape[1] in (1, None):
        values = values.reshape(-1, 1)
    if shape is not None and not _agrees(shape, values.shape):
        raise SampleError(
            f"the samples {path.name!r} have the shape {list(values.shape)} for {port.name!r}, which takes"
            f" {[s if s is not None else 'any' for s in shape]}",
            hint="give one row a sample, with its axes in the model's own order (channels last)",
        )
    if port.dtype == "BYTES":
        return np.array(values.astype(str), dtype=object)
    if values.dtype.kind not in "biuf":
        raise SampleError(
            f"the samples of {port.name!r} are {values.dtype}, the model takes {port.dtype}",
            hint="give the values in the model's own type",
        )
    return values


def _agrees(shape: tuple[int | None, ...], given: tuple[int, ...]) -> bool:
    """Whether rows of such a shape fit; a fixed first axis takes several calls."""
    if len(shape) != len(given):
        return False
    first = not shape or shape[0] is None or given[0] % shape[0] == 0
    return first and all(own in (None, size) for own, size in zip(shape[1:], given[1:], strict=True))


def cast(source: Source, samples: Mapping[str, Array]) -> Arrays:
    """The samples in the types of the inputs.

    Raises:
        SampleError: A value does not fit its type.
    """
    made = {}
    for port in source.inputs:
        values = samples[port.name]
        if port.dtype == "BYTES":
            made[port.name] = values
            continue
        with np.errstate(all="ignore"):
            made[port.name] = values.astype(DTYPES[port.dtype].numpy)
        if DTYPES[port.dtype].numpy[1:2] in "iu" and not np.array_equal(made[port.name].astype(values.dtype), values):
            raise SampleError(
                f"the samples of {port.name!r} are not all whole numbers of the type {port.dtype}",
                hint="give the values in the model's own type",
            )
    return made


def answers(source: Source, samples: Mapping[str, Array]) -> Arrays:
    """The model's answers, one call at a time, so that no row sees another.

    Raises:
        SampleError: The model stops at a row.
    """
    calls = []
    for index in range(call_count(source, samples)):
        try:
            calls.append(source.ask(call_of(source, samples, index)))
        except ConversionError:
            raise
        except Exception as error:
            raise SampleError(
                f"the model stops at row {index} of the samples: {' '.join(str(error).split())[:300]}",
                hint="give rows that it takes with --samples; free axes that must be larger have their size there",
            ) from error
    return {port.name: np.concatenate([np.atleast_1d(call[port.name]) for call in calls]) for port in source.outputs}
