"""Proof that every free axis is free in the ONNX graph too, by runs at several sizes; it names the outputs' axes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from packager.converters.onnx_files import ORT_ERRORS, open_session
from packager.converters.tensorflow.dressing import BATCH, Dims, dressed, input_dims
from packager.converters.tensorflow.samples import SIZES, drawn_rows
from packager.converters.tensorflow.source import Array, Arrays, Source
from packager.core.conversion import ConversionRequest
from packager.core.errors import ConversionError, ConverterMissing

_ROWS = (3, 1)
_OTHER_ROWS = 2
_MORE = 5


def output_dims(
    source: Source, model: "object", request: ConversionRequest, example: Mapping[str, Array]
) -> dict[str, Dims]:
    """The shape of every output, its free axes under the names of the inputs' axes that they follow.

    Args:
        model: From the source's ``emit``.
        example: Rows that the source takes.

    Raises:
        ConverterMissing: An axis that is free in the source is not in the graph.
    """
    unknown = {port.name: (None,) * len(port.shape or ()) for port in source.outputs}
    path = request.workdir / "probe.onnx"
    path.write_bytes(dressed(model, source, unknown).SerializeToString())  # type: ignore[arg-type]
    feeds = [_first_rows(source, example, rows) for rows in (_ROWS if source.free_rows else _ROWS[:1])]
    feeds += _other_sizes(source, request.seed)
    runs = [(feed, _compared(source, path, feed)) for feed in feeds]
    path.unlink()
    names = input_dims(source)
    return {port.name: _dims(port.name, port.shape, runs, names) for port in source.outputs}


def _first_rows(source: Source, samples: Mapping[str, Array], rows: int) -> Arrays:
    if not source.free_rows:
        sizes = {port.name: (port.shape or (0,))[0] or rows for port in source.inputs}
        return {name: value[: sizes[name]] if value.ndim else value for name, value in samples.items()}
    return {name: value[:rows] for name, value in samples.items()}


def _other_sizes(source: Source, seed: int) -> list[Arrays]:
    """Rows with other sizes of free axes, alike in all inputs and then each its own, as far as the source goes."""
    free = sum(len(port.free_axes) for port in source.inputs)
    rng = np.random.default_rng(seed + 1)
    found = []
    for size in SIZES:
        if (same := _accepted(source, drawn_rows(source, rng, rows=_OTHER_ROWS, size=size + _MORE, end=1))) is not None:
            found.append(same)
            break
    if found and free > 1:
        apart = {
            port.name: drawn_rows(source, rng, rows=_OTHER_ROWS, size=size + _MORE + 2 * place, end=1)[port.name]
            for place, port in enumerate(source.inputs)
        }
        found += [apart] if _accepted(source, apart) is not None else []
    return found


def _accepted(source: Source, feeds: Arrays) -> Arrays | None:
    try:
        source.ask(feeds)
    except Exception:  # noqa: BLE001 - sizes that the model does not take prove nothing
        return None
    return feeds


def _compared(source: Source, path: Path, feeds: Arrays) -> Arrays:
    """The source's answers, which the graph has in the same shapes."""
    expected = source.ask(feeds)
    session = open_session(path)
    sizes = {name: list(value.shape) for name, value in feeds.items()}
    try:
        given = session.run(None, {name: feeds[name] for name in (arg.name for arg in session.get_inputs())})
    except ORT_ERRORS as error:
        raise ConverterMissing(
            f"the graph that tf2onnx makes does not run at inputs of shape {sizes}, which the model takes:"
            f" {' '.join(str(error).split())[:200]}",
            hint="an axis that is free in the model is fixed in the graph; give it a size: --input NAME=DTYPE:D0,D1",
        ) from error
    for port, value in zip(source.outputs, given, strict=True):
        if value.shape != expected[port.name].shape:
            raise ConverterMissing(
                f"the graph that tf2onnx makes answers {port.name!r} with the shape {list(value.shape)} to inputs of"
                f" shape {sizes}, the model with {list(expected[port.name].shape)}",
                hint="give free axes a size with --input NAME=DTYPE:D0,D1",
            )
    return expected


def _dims(
    name: str, shape: tuple[int | None, ...] | None, runs: list[tuple[Arrays, Arrays]], inputs: Mapping[str, Dims]
) -> Dims:
    seen = [answers[name].shape for _, answers in runs]
    if len({len(sizes) for sizes in seen}) != 1:
        raise ConversionError(f"the output {name!r} has no fixed number of axes", hint="reshape it inside the model")
    known = shape if shape is not None else (None,) * len(seen[0])
    made: list[int | str | None] = []
    for axis, size in enumerate(known):
        followed = _followed(axis, [sizes[axis] for sizes in seen], [feed for feed, _ in runs], inputs)
        made.append(size if size is not None else followed or f"{name}_d{axis}")
    return tuple(made)


def _followed(axis: int, sizes: list[int], feeds: list[Arrays], inputs: Mapping[str, Dims]) -> str | None:
    """The name of the inputs' free axis that always has the size of this one."""
    places = [
        (dim, name, place) for name, dims in inputs.items() for place, dim in enumerate(dims) if isinstance(dim, str)
    ]
    if axis == 0:
        places.sort(key=lambda entry: entry[0] != BATCH)
    else:
        places = [entry for entry in places if entry[0] != BATCH]
    for dim, name, place in places:
        if [feed[name].shape[place] for feed in feeds] == sizes:
            return dim
    return None
