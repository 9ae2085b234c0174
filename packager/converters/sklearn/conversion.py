"""The conversion of one scikit-learn model, from its file to ONNX, samples and reference answers."""

import logging
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.boosting.estimators import library_of
from packager.converters.sklearn.answers import (
    Answers,
    OutputPlan,
    answer,
    answer_samples,
    classes_of,
    labels_of,
    outputs_of,
)
from packager.converters.sklearn.assembly import Versions, assemble
from packager.converters.sklearn.conditioning import check_conditioned, check_reached
from packager.converters.sklearn.coverage import coverage_of
from packager.converters.sklearn.export import check_splits
from packager.converters.sklearn.finish import finish
from packager.converters.sklearn.inputs import ModelInput, Samples
from packager.converters.sklearn.knowledge import Knowledge, coarse_columns, learn
from packager.converters.sklearn.ladder import Attempt, Judge, Rung, climb, rungs, takes_float32
from packager.converters.sklearn.limits import non_finite_of
from packager.converters.sklearn.loading import load_estimator
from packager.converters.sklearn.parts import Part, fed_sparse, parts_of
from packager.converters.sklearn.reading import Input, fixed_floats, input_and_file, samples_of
from packager.converters.sklearn.synthetic import draw
from packager.converters.sklearn.training import load_plugin, training_of
from packager.converters.sklearn.trees import Grove, groves_of
from packager.core.conversion import ConversionRequest, RawConversion
from packager.core.errors import ModelInvalid, SampleError
from packager.core.extras import versions_of
from packager.core.progress import Progress
from runtime.contract.certificate import Coverage
from runtime.contract.dtypes import DTYPES
from runtime.contract.manifest import NonFinite

if TYPE_CHECKING:
    from onnx import ModelProto

logger = logging.getLogger(__name__)

_TIES = "synthetic samples keep off exact ties between classes, which the last bit of a sum decides"
_VERSIONS = ("scikit-learn", "skl2onnx", "onnx", "numpy", "joblib")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, what goes into it and out of it, and what it tells of its input."""

    model: Any
    input: Input
    plans: tuple[OutputPlan, ...]
    parts: tuple[Part, ...]
    groves: list[Grove]
    known: Knowledge


def convert(request: ConversionRequest, progress: Progress) -> RawConversion:
    """See ``SklearnConverter.convert``."""
    progress.step("loading the model with scikit-learn")
    load_plugin(request.options)
    model, notes = load_estimator(request.source)
    with warnings.catch_warnings():
        # What scikit-learn says to those who train is no word to those who ship; what matters is measured below.
        warnings.simplefilter("ignore")
        with np.errstate(all="ignore"):
            return _convert(model, request, progress, notes)


def _convert(model: Any, request: ConversionRequest, progress: Progress, notes: tuple[str, ...]) -> RawConversion:
    check_splits(parts_of(model))
    model_input, file = input_and_file(model, request)
    loaded = _loaded(model, model_input)
    if request.samples is None or file is None:
        progress.step("drawing samples from what the model knows")
        samples = _synthetic(loaded, seed=request.seed)
    else:
        samples = samples_of(request.samples, file, model_input)
    progress.step(f"asking the model about {len(samples.matrix)} samples")
    original = answer_samples(model, samples, loaded.plans, model_input)
    progress.step("converting to ONNX")
    check_conditioned(loaded.parts, samples.original, atol=request.atol, rtol=request.rtol)
    if request.samples is None:
        check_reached(loaded.parts, samples.original, atol=request.atol, rtol=request.rtol)
    attempt, passed_over = _climbed(loaded, request, samples, original)
    notes += samples.notes + _left_out(loaded.plans, original) + _told(attempt, passed_over) + _conventions(model_input)
    if request.samples is None and "label" in original:
        notes += (_TIES,)
    paths = _write(request.workdir, attempt, model_input.tensors(samples))
    return RawConversion(
        **paths,
        reference="source",
        framework="sklearn",
        framework_version=metadata.version("scikit-learn"),
        synthetic=request.samples is None,
        seed=request.seed if request.samples is None else None,
        coverage=_coverage(loaded, samples, original, counted=request.samples is None),
        columns=model_input.tensor_columns,
        labels=labels_of(model, original),
        non_finite=_taken_beside_finite(loaded, samples),
        versions={**{name: metadata.version(name) for name in _VERSIONS}, **_boosting_versions(model)},
        notes=notes,
        training=training_of(model),
    )


def _loaded(model: Any, model_input: Input) -> Loaded:
    plans = outputs_of(model)
    taken = {spec.name for spec in model_input.specs("FP32")} & {plan.name for plan in plans}
    if taken:
        raise SampleError(f"the input cannot be named {min(taken)!r}: an output is", hint="name it X in the samples")
    parts = parts_of(model, model_input.width)
    groves = groves_of(parts)
    known = learn(parts, groves, model_input.width)
    known.encoders += model_input.encoders()
    return Loaded(model, model_input, plans, parts, groves, known)


def _taken_beside_finite(loaded: Loaded, samples: Samples) -> dict[str, NonFinite]:
    """By input of floats, which of NaN and infinity the model takes."""

    def answers(matrix: Any) -> bool:
        try:
            answer(loaded.model, loaded.input.feed(matrix), loaded.plans)
        except (ValueError, TypeError, AttributeError):
            return False
        return True

    row = samples.matrix[:1].astype(np.float64)
    return {
        spec.name: non_finite_of(row, answers, columns=range(spec.position, spec.position + spec.width))
        for spec in loaded.input.specs("FP32")
        if DTYPES[spec.dtype].is_float
    }


def _synthetic(loaded: Loaded, *, seed: int) -> Samples:
    feed = loaded.input.feed

    def accepts(fed: Any) -> bool:
        try:
            answer(loaded.model, fed, loaded.plans)
        except (ValueError, TypeError, AttributeError):
            return False
        return True

    try:
        matrix = draw(
            loaded.known, loaded.groves, seed=seed, feed=feed, accepts=accepts,
            nullable=loaded.input.nullable(), coarse=coarse_columns(loaded.known),
        )  # fmt: skip
        answer(loaded.model, feed(matrix[:1]), loaded.plans)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelInvalid(
            f"the model refuses samples drawn for it: {str(error).splitlines()[0]}",
            hint="give rows that it accepts with --samples FILE",
        ) from error
    return loaded.input.drawn(matrix)


def _climbed(
    loaded: Loaded, request: ConversionRequest, samples: Samples, original: Answers
) -> tuple[Attempt, list[str]]:
    """The graph at the first precision at which it answers as the source does."""
    fixed = fixed_floats(request.inputs) if isinstance(loaded.input, ModelInput) else None
    casts: dict[str, Answers] = {}
    sparse = fed_sparse(loaded.parts, samples.original[:1])

    def attempt(rung: Rung) -> Attempt:
        graph = _graph(loaded, rung, request, sparse)
        onnx_bytes = finish(graph, loaded.plans, original, opset=request.opset, ml_opset=request.ml_opset)
        if rung.floats not in casts:
            exact = loaded.input.survives(samples, rung.floats)
            casts[rung.floats] = original if exact else _cast_answers(loaded, samples, rung)
        return Attempt(rung, onnx_bytes, original, casts[rung.floats])

    judge = Judge(loaded.input.tensors(samples), _numpy_types(loaded.input), request.atol, request.rtol)
    narrow = samples.narrow or takes_float32(loaded.parts, loaded.groves)
    return climb(rungs(narrow_first=narrow, fixed=fixed), attempt, judge)


def _graph(loaded: Loaded, rung: Rung, request: ConversionRequest, sparse: frozenset[int]) -> "ModelProto":
    versions = Versions(request.opset, request.ml_opset)
    wide = rung.floats == "FP64"
    inputs = loaded.input.specs(rung.floats)
    return assemble(loaded.model, inputs, versions, double=rung.double, wide=wide, sparse=sparse)


def _numpy_types(model_input: Input) -> Callable[[Rung], dict[str, str]]:
    return lambda rung: {spec.name: DTYPES[spec.dtype].numpy for spec in model_input.specs(rung.floats)}


def _cast_answers(loaded: Loaded, samples: Samples, rung: Rung) -> Answers:
    try:
        return answer(loaded.model, loaded.input.cast(samples, rung.floats), loaded.plans)
    except ValueError as error:
        raise SampleError(
            f"the model refuses the samples once they are cast to FP32: {str(error).splitlines()[0]}",
            hint="its input needs more precision than FP32 has; give samples in a smaller range",
        ) from error


def _told(attempt: Attempt, passed_over: list[str]) -> tuple[str, ...]:
    """The precision of the graph, where others were tried before."""
    if not passed_over:
        return ()
    return (f"precision: {attempt.rung}", *(f"precision passed over: {reason}" for reason in passed_over))


def _conventions(model_input: Input) -> tuple[str, ...]:
    if isinstance(model_input, ModelInput) or model_input.flat:
        return ()
    texts = [column.name for column in model_input.read if column.kind == "text" and column.nullable]
    return (f"an empty string stands for a missing value in {', '.join(texts)}",) if texts else ()


def _coverage(loaded: Loaded, samples: Samples, answers: Mapping[str, Any], *, counted: bool) -> Coverage:
    if not counted:
        for grove in loaded.groves:
            grove.see(samples.original)
    return coverage_of(
        samples.matrix,
        loaded.groves,
        loaded.known.encoders,
        classes=classes_of(loaded.model),
        labels=answers.get("label"),
    )


def _left_out(plans: tuple[OutputPlan, ...], answers: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{plan.name!r} is left out: with several targets the model gives one matrix a target, not one tensor"
        for plan in plans
        if plan.name not in answers
    )


def _boosting_versions(model: Any) -> Mapping[str, str]:
    libraries = {library_of(part.estimator) for part in parts_of(model)} - {None}
    return versions_of(*sorted({name for library in libraries for name in (str(library), f"{library}-cpu")}))


def _write(folder: Path, attempt: Attempt, tensors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    paths = {
        "onnx": folder / "model.onnx",
        "samples": folder / "samples.npz",
        "reference_original": folder / "reference_original.npz",
        "reference_cast": folder / "reference_cast.npz",
    }
    paths["onnx"].write_bytes(attempt.onnx)
    _save(paths["samples"], tensors)
    _save(paths["reference_original"], attempt.original)
    _save(paths["reference_cast"], attempt.cast)
    return paths


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    # Not numpy.savez: a column may bear the name of one of its arguments.
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
