"""The conversion of a library's own file, from its trees to ONNX, samples and the library's answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from packager.converters.boosting.graph import ML, GraphWriter, class_array, write_answers
from packager.converters.boosting.inputs import DEFAULT_NAME, matrix_of
from packager.converters.boosting.model import BoostedModel
from packager.converters.boosting.sampling import Sight, draw
from packager.converters.sample_files import SampleFile, read_samples
from packager.core.conversion import DEFAULT_ATOL, DEFAULT_RTOL, ConversionRequest, RawConversion
from packager.core.errors import SampleError, UsageError
from packager.core.extras import versions_of
from packager.core.progress import Progress
from runtime.contract.certificate import Coverage, Share

Matrix = NDArray[Any]
Answers = dict[str, Matrix]
BATCH = "batch"
WEAK_BELOW = 0.95
_ML_OPSET = 3


@dataclass(frozen=True, slots=True)
class NativeSource:
    """A model of one library.

    Attributes:
        predict: The library's answers to a matrix by output name; raises ValueError where it refuses a value.
        distribution: The library, as it is installed.
    """

    framework: str
    distribution: str
    model: BoostedModel
    predict: Callable[[Matrix], Answers]
    notes: tuple[str, ...] = ()


def convert_native(source: NativeSource, request: ConversionRequest, progress: Progress) -> RawConversion:
    """ONNX, samples and the library's answers.

    Raises:
        SampleError: The samples do not fit the model.
        UsageError: ``--input`` says what cannot be.
    """
    model = source.model
    file = None if request.samples is None else read_samples(request.samples, columns=model.columns)
    name, asked_double = _asked_input(request, file)
    if request.samples is None or file is None:
        progress.step("drawing samples from the model's thresholds")
        samples, sight = draw(model.forest, seed=request.seed, accepts=lambda rows: _accepted(source, rows))
        notes: tuple[str, ...] = ()
    else:
        samples, notes = matrix_of(file, request.samples, model, name)
        sight = Sight(model.forest)
        sight.see(samples)
    progress.step(f"asking {source.framework} about {len(samples)} samples")
    original = _answers(source, samples)
    narrow = samples.astype(np.float32)
    exact = np.array_equal(narrow.astype(np.float64), samples.astype(np.float64), equal_nan=True)
    cast = original if exact else _answers(source, narrow)
    # What float32 cannot hold may lie on the other side of a threshold; then the input is as wide as the thresholds.
    is_double = asked_double or (not model.single_precision_input and not _equal(original, cast))
    if is_double and not asked_double:
        notes = (*notes, "the input is FP64: rounded to FP32, some samples would get other answers")
    progress.step("converting to ONNX")
    graph = _graph(model, name, original, is_double=is_double, opset=request.opset)
    return RawConversion(
        **_write(request.workdir, name, graph, samples, original, original if is_double else cast),
        reference="source",
        framework=source.framework,
        framework_version=versions_of(source.distribution)[source.distribution],
        synthetic=request.samples is None,
        seed=request.seed if request.samples is None else None,
        coverage=_coverage(sight, model, original),
        columns={name: model.columns} if model.columns else {},
        labels={"probabilities": model.classes} if model.classes is not None else {},
        versions=versions_of(source.distribution, "onnx", "numpy"),
        notes=source.notes + notes,
    )


def answers_of(model: BoostedModel, scores: Matrix) -> Answers:
    """The answers by output name, from what the library's ``predict`` gives: values, or probabilities."""
    if model.classes is None:
        return {"prediction": scores.ravel() if scores.ndim > 1 and scores.shape[1] == 1 else scores}
    if model.single_score:
        flat = scores.ravel()
        return {
            "label": class_array(model.classes)[(flat > 0.5).astype(np.int64)],
            "probabilities": np.stack([1 - flat, flat], axis=1),
        }
    return {"label": class_array(model.classes)[scores.argmax(axis=1)], "probabilities": scores}


def _asked_input(request: ConversionRequest, file: SampleFile | None) -> tuple[str, bool]:
    """Name of the input, and whether it is to be FP64."""
    hints = request.inputs
    if len(hints) > 1 or any(hint.dtype not in ("FP32", "FP64") for hint in hints):
        raise UsageError(
            f"--input {hints[-1].name}={hints[-1].dtype}: boosted trees have one input of type FP32 or FP64",
            hint="give one --input NAME=FP32:N,COLUMNS, or none",
        )
    if hints:
        return hints[0].name, hints[0].dtype == "FP64"
    named = list((file.arrays if file else None) or {})
    return (named[0] if len(named) == 1 and named[0] else DEFAULT_NAME), False


def _accepted(source: NativeSource, rows: Matrix) -> bool:
    try:
        source.predict(rows)
    except ValueError:
        return False
    return True


def _answers(source: NativeSource, rows: Matrix) -> Answers:
    try:
        return source.predict(rows)
    except ValueError as error:
        raise SampleError(
            f"{source.framework} refuses the samples: {str(error).splitlines()[0]}",
            hint="give rows that its predict accepts: no infinities, missing values only if it was trained with some",
        ) from error


def _equal(one: Answers, other: Answers) -> bool:
    return all(
        np.array_equal(value, other[name])
        if value.dtype.kind != "f"
        else np.allclose(other[name], value, atol=DEFAULT_ATOL, rtol=DEFAULT_RTOL, equal_nan=True)
        for name, value in one.items()
    )


def _graph(model: BoostedModel, name: str, answers: Answers, *, is_double: bool, opset: int) -> bytes:
    writer = GraphWriter()
    made = write_answers(model, name, writer, is_double=is_double)
    outputs = []
    for output, value in made.items():
        if answers[output].ndim == 1 and output == "prediction":
            flat = writer.node("Reshape", [value, writer.constant(np.array([-1], np.int64))])
        else:
            flat = value
        writer.nodes.append(helper.make_node("Identity", [flat], [output], name=f"{output}_identity"))
        outputs.append(
            helper.make_tensor_value_info(output, _type_of(output, answers[output]), _shape_of(answers[output]))
        )
    wide = TensorProto.DOUBLE if is_double else TensorProto.FLOAT
    entry = helper.make_tensor_value_info(name, wide, [BATCH, model.forest.width])
    graph = helper.make_graph(writer.nodes, "model", [entry], outputs, writer.initializers)
    versions = [helper.make_opsetid("", opset), helper.make_opsetid(ML, _ML_OPSET)]
    proto = helper.make_model(
        graph, opset_imports=versions, ir_version=helper.find_min_ir_version_for(versions), producer_name="dray"
    )
    onnx.checker.check_model(proto)
    encoded: bytes = proto.SerializeToString(deterministic=True)
    return encoded


def _type_of(output: str, answer: Matrix) -> int:
    if answer.dtype.kind == "f":
        return TensorProto.DOUBLE if output == "label" else TensorProto.FLOAT
    return TensorProto.STRING if answer.dtype.kind in "OU" else TensorProto.INT64


def _shape_of(answer: Matrix) -> list[str | int]:
    return [BATCH, *answer.shape[1:]]


def _coverage(sight: Sight, model: BoostedModel, answers: Mapping[str, Matrix]) -> Coverage:
    reached, total = sight.counts
    measures = {"leaves": Share(reached=reached, total=total)}
    if model.classes is not None:
        measures["classes"] = Share(reached=len(np.unique(answers["label"])), total=len(model.classes))
    thin = [
        f"{share.reached} of {share.total} {name} reached"
        for name, share in measures.items()
        if share.reached < WEAK_BELOW * share.total
    ]
    return Coverage(measures=measures, weak=bool(thin), reason="; ".join(thin))


def _write(folder: Path, name: str, graph: bytes, samples: Matrix, original: Answers, cast: Answers) -> dict[str, Any]:
    paths = {
        "onnx": folder / "model.onnx",
        "samples": folder / "samples.npz",
        "reference_original": folder / "reference_original.npz",
        "reference_cast": folder / "reference_cast.npz",
    }
    paths["onnx"].write_bytes(graph)
    _save(paths["samples"], {name: samples})
    _save(paths["reference_original"], original)
    _save(paths["reference_cast"], cast)
    return paths


def _save(path: Path, arrays: Mapping[str, Matrix]) -> None:
    plain = {name: values.astype(str) if values.dtype == object else values for name, values in arrays.items()}
    np.savez(path, allow_pickle=False, **plain)
