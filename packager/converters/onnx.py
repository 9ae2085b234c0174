"""ONNX files as models: each is its own reference."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from packager.core.conversion import ConversionRequest, InputHint, ModelSource, RawConversion
from packager.core.errors import ConversionError, SampleError
from packager.core.progress import Progress
from runtime.contract.certificate import Coverage
from runtime.contract.dtypes import BY_ORT, DTYPES, Datatype

if TYPE_CHECKING:
    import onnxruntime as ort

ROWS = 64
_FREE_AXIS = 4
_MAX_VALUES = 1 << 24
_WORDS = ("", "a", "word", "two words", "naïve", "0")


class OnnxConverter:
    """Takes the file as it is; its answers are those of ONNX Runtime without graph optimisations."""

    name: ClassVar[str] = "onnx"
    requires: ClassVar[tuple[str, ...]] = ("onnx", "numpy")
    isolated: ClassVar[bool] = False  # an ONNX file holds no code
    options: ClassVar[tuple[str, ...]] = ("inputs",)

    def recognises(self, source: ModelSource) -> bool:
        """Whether the file is named as ONNX."""
        return source.path.is_file() and source.path.suffix.lower() == ".onnx"

    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        """The file itself, samples, and its own answers.

        Raises:
            ModelInvalid: Not a valid ONNX model.
            SampleError: The samples do not fit the model's inputs.
        """
        from packager.converters.onnx_files import open_session, read_model

        progress.step("reading the ONNX model")
        model, _ = read_model(request.source)
        session = open_session(request.source, optimised=False)
        inputs = [_Input(arg, request.inputs) for arg in session.get_inputs()]
        samples = _drawn(inputs, request.seed) if request.samples is None else _given(request.samples, inputs)
        progress.step("asking the model")
        # The source takes no more precision than its ONNX inputs have: one set of answers serves both comparisons.
        answers = _save(request.workdir / "reference.npz", _answers(session, inputs, samples))
        return RawConversion(
            onnx=request.source,
            samples=_save(request.workdir / "samples.npz", samples),
            reference="self",
            reference_original=answers,
            reference_cast=answers,
            framework="onnx",
            framework_version=f"{model.producer_name} {model.producer_version}".strip() or str(model.ir_version),
            synthetic=request.samples is None,
            seed=request.seed if request.samples is None else None,
            coverage=Coverage(weak=True, reason="samples drawn by type and shape alone")
            if request.samples is None
            else Coverage(),
        )


class _Input:
    """One input: its type, and its shape with numbers for free axes; ``rows`` is None where the first axis is free."""

    def __init__(self, arg: "ort.NodeArg", hints: tuple[InputHint, ...]) -> None:
        if arg.type not in BY_ORT:
            raise ConversionError(
                f"{arg.name!r} has the ONNX type {arg.type}, which the inference protocol does not have",
                hint=f"the protocol has {', '.join(DTYPES)}; cast inside the model",
            )
        self.name: str = arg.name
        self.dtype: Datatype = BY_ORT[arg.type]
        hint = next((hint.shape for hint in hints if hint.name == arg.name), ())
        sized = [_size(dim, hint[index] if index < len(hint) else None) for index, dim in enumerate(arg.shape)]
        self.scalar = not arg.shape
        self.rows: int | None = arg.shape[0] if arg.shape and isinstance(arg.shape[0], int) else None
        self.row_shape: tuple[int, ...] = tuple(sized[1:])


def _size(dim: int | str | None, hint: int | str | None) -> int:
    return dim if isinstance(dim, int) else hint if isinstance(hint, int) else _FREE_AXIS


def _call_rows(inputs: list[_Input]) -> int | None:
    """Rows of one call: 1 where rows are free, the fixed size that all share, None where a sample is a whole call."""
    sizes = {None if entry.scalar else entry.rows or 0 for entry in inputs}
    if len(sizes) != 1 or None in sizes:
        return None
    return next(iter(sizes)) or 1


def _drawn(inputs: list[_Input], seed: int) -> dict[str, Any]:
    import numpy as np

    rng = np.random.default_rng(seed)
    step = _call_rows(inputs)
    values = sum(math.prod(entry.row_shape) for entry in inputs) or 1
    rows = 1 if step is None else step * max(1, min(ROWS, _MAX_VALUES // values) // step)
    return {
        entry.name: _values(rng, entry.dtype, _shape(entry, rows if step is not None else entry.rows or _FREE_AXIS))
        for entry in inputs
    }


def _shape(entry: _Input, rows: int) -> tuple[int, ...]:
    return () if entry.scalar else (rows, *entry.row_shape)


def _values(rng: Any, dtype: Datatype, shape: tuple[int, ...]) -> Any:
    import numpy as np

    if dtype == "BYTES":
        return np.array(rng.choice(_WORDS, shape), dtype=str)
    if dtype == "BOOL":
        return rng.random(shape) < 0.5
    drawn = rng.standard_normal(shape) if DTYPES[dtype].is_float else rng.integers(0, 10, shape)
    return np.asarray(drawn).astype(DTYPES[dtype].numpy)


def _given(path: Path, inputs: list[_Input]) -> dict[str, Any]:
    """The user's samples by input name."""
    from packager.converters.sample_files import arrays_by_input, thinned

    arrays = arrays_by_input(path, [entry.name for entry in inputs])
    taken = {entry.name: _fitted(path, entry, arrays[entry.name]) for entry in inputs}
    rows = {len(value) for value in taken.values() if value.ndim}
    if _call_rows(inputs) is None:
        return taken
    if len(rows) != 1 or not rows.copy().pop():
        raise SampleError(
            f"the samples {path.name!r} hold {sorted(rows)} rows by input, expected the same number, at least one",
            hint="give every input one row a sample",
        )
    kept = thinned(rows.pop()) if _call_rows(inputs) == 1 else slice(None)
    return {name: value[kept] for name, value in taken.items()}


def _fitted(path: Path, entry: _Input, values: Any) -> Any:
    """Values of the input's rank; a column of a frame becomes a column of a matrix."""
    rank = 0 if entry.scalar else 1 + len(entry.row_shape)
    if values.ndim == 1 and rank == 2 and entry.row_shape == (1,):
        values = values.reshape(-1, 1)
    if values.ndim != rank:
        raise SampleError(
            f"the samples {path.name!r} have the shape {list(values.shape)} for {entry.name!r}, which has {rank} axes",
            hint="give one row a sample",
        )
    return values.astype(str) if entry.dtype == "BYTES" else values


def _answers(session: "ort.InferenceSession", inputs: list[_Input], samples: Mapping[str, Any]) -> dict[str, Any]:
    """The model's answers, one call at a time, so that no row sees another."""
    import numpy as np

    from packager.converters.onnx_files import ORT_ERRORS

    feeds = {entry.name: _fed(entry, samples[entry.name]) for entry in inputs}
    step = _call_rows(inputs)
    rows = 1 if step is None else len(next(iter(feeds.values())))
    names = [output.name for output in session.get_outputs()]
    calls = []
    for start in range(0, rows, step or 1):
        part = feeds if step is None else {name: value[start : start + step] for name, value in feeds.items()}
        try:
            calls.append(session.run(names, part))
        except ORT_ERRORS as error:
            raise SampleError(
                f"the model stops at the samples: {' '.join(str(error).split())[:300]}",
                hint="give rows that it takes with --samples, or the sizes of free axes with --input NAME=DTYPE:D0,D1",
            ) from error
    joined = {name: np.concatenate([np.atleast_1d(call[index]) for call in calls]) for index, name in enumerate(names)}
    return {name: value.astype(str) if value.dtype == object else value for name, value in joined.items()}


def _fed(entry: _Input, values: Any) -> Any:
    import numpy as np

    try:
        if entry.dtype == "BYTES":
            return values.astype(str).astype(object)
        # Values that do not fit are refused where the samples are held against the signature.
        with np.errstate(all="ignore"):
            return values.astype(DTYPES[entry.dtype].numpy)
    except (ValueError, TypeError) as error:
        raise SampleError(
            f"the samples of {entry.name!r} are {values.dtype}, the model takes {entry.dtype}: {error}",
            hint="give the values in the model's own type",
        ) from error


def _save(path: Path, arrays: Mapping[str, Any]) -> Path:
    import numpy as np

    np.savez(path, allow_pickle=False, **arrays)
    return path
