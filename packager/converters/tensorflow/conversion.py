"""One conversion: load, draw, ask, write, check."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from packager.converters.tensorflow.canonical import canonical
from packager.converters.tensorflow.dressing import dressed
from packager.converters.tensorflow.free_axes import output_dims
from packager.converters.tensorflow.loading import load, set_up
from packager.converters.tensorflow.plugin import DEFAULT_FUNCTION
from packager.converters.tensorflow.samples import answers, cast, chosen_samples
from packager.converters.tensorflow.source import Array
from packager.core.conversion import ConversionRequest, RawConversion
from packager.core.errors import ConverterMissing, UsageError
from packager.core.extras import versions_of
from packager.core.progress import Progress

OPSETS = range(15, 19)
_DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "keras", "tf2onnx", "onnx", "numpy")


def convert(request: ConversionRequest, progress: Progress) -> RawConversion:
    """ONNX, samples and the answers of the model itself."""
    if request.opset not in OPSETS:
        raise UsageError(
            f"--opset {request.opset}: tf2onnx writes the opsets {OPSETS.start} to {OPSETS.stop - 1}",
            hint="leave --opset out",
        )
    set_up()
    progress.step("loading the model with TensorFlow")
    source = load(request)
    progress.step("asking the model")
    samples, coverage = chosen_samples(source, request)
    narrow = cast(source, samples)
    # The source takes no more precision than its own input types have: one set of answers serves both comparisons.
    expected = _save(request.workdir / "reference.npz", answers(source, narrow))
    progress.step("converting to ONNX")
    written = source.emit(request.opset)
    model = canonical(dressed(written, source, output_dims(source, written, request, narrow)))
    path = request.workdir / "model.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    _check(path)
    return RawConversion(
        onnx=path,
        samples=_save(request.workdir / "samples.npz", samples),
        reference="source",
        reference_original=expected,
        reference_cast=expected,
        framework="tensorflow",
        framework_version=_version(),
        synthetic=request.samples is None,
        seed=request.seed if request.samples is None else None,
        coverage=coverage,
        versions=versions_of(*_DISTRIBUTIONS),
        notes=(*source.notes, *_own_code(request)),
    )


def _own_code(request: ConversionRequest) -> tuple[str, ...]:
    """What of the user's ran, for the certificate."""
    ran = [Path(str(request.options["plugin"])).name] if "plugin" in request.options else []
    if request.source.suffix == ".py":
        ran.append(f"{request.source.name}:{request.options.get('function') or DEFAULT_FUNCTION}")
    return tuple(f"code of the user's own ran: {name}" for name in ran)


def _check(path: Path) -> None:
    """tf2onnx was seen to write invalid graphs without an error."""
    try:
        onnx.checker.check_model(path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise ConverterMissing(
            f"tf2onnx writes an invalid graph for this model: {' '.join(str(error).split())[:300]}",
            hint="replace the layer that is named, and save the model again",
        ) from error


def _version() -> str:
    import tensorflow as tf

    version: str = tf.__version__
    return version


def _save(path: Path, arrays: Mapping[str, Array]) -> Path:
    plain: dict[str, Any] = {
        name: value.astype(str) if value.dtype == object else value for name, value in arrays.items()
    }
    np.savez(path, allow_pickle=False, **plain)
    return path
