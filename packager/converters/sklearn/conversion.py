"""The conversion of one scikit-learn model, from its file to ONNX, samples and reference answers."""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.boosting.estimators import library_of
from packager.converters.sklearn.answers import Answers, OutputPlan, answer, answer_samples, classes_of, labels_of, outputs_of
from packager.converters.sklearn.coverage import coverage_of
from packager.converters.sklearn.export import check_convertible, export
from packager.converters.sklearn.finish import finish
from packager.converters.sklearn.inputs import ModelInput, Samples, input_of, read, user_samples
from packager.converters.sklearn.knowledge import learn
from packager.converters.sklearn.loading import load_estimator
from packager.converters.sklearn.parts import parts_of
from packager.converters.sklearn.synthetic import draw
from packager.converters.sklearn.trees import Grove, groves_of
from packager.core.conversion import ConversionRequest, RawConversion
from packager.core.errors import ModelInvalid, SampleError, UsageError
from packager.core.extras import versions_of
from packager.core.progress import Progress
from runtime.contract.certificate import Coverage

logger = logging.getLogger(__name__)

_VERSIONS = ("scikit-learn", "skl2onnx", "onnx", "numpy", "joblib")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model and what goes into it and out of it."""

    model: Any
    input: ModelInput
    plans: tuple[OutputPlan, ...]


def convert(request: ConversionRequest, progress: Progress) -> RawConversion:
    """See ``SklearnConverter.convert``."""
    progress.step("loading the model with scikit-learn")
    model, notes = load_estimator(request.source)
    with warnings.catch_warnings():
        # What scikit-learn says to those who train is no word to those who ship; what matters is measured below.
        warnings.simplefilter("ignore")
        with np.errstate(all="ignore"):
            return _convert(model, request, progress, notes)


def _convert(model: Any, request: ConversionRequest, progress: Progress, notes: tuple[str, ...]) -> RawConversion:
    check_convertible(model)
    file = read(request.samples, model)
    loaded = Loaded(model, _checked_input(model, request, file), outputs_of(model))
    progress.step("converting to ONNX")
    graph = export(model, loaded.input, opset=request.opset, ml_opset=request.ml_opset)
    groves = groves_of(parts_of(model, loaded.input.width))
    if request.samples is None or file is None:
        progress.step("drawing samples from what the model knows")
        samples = _synthetic(loaded, groves, seed=request.seed)
    else:
        samples = user_samples(request.samples, file, loaded.input)
    progress.step(f"asking the model about {len(samples.matrix)} samples")
    original = answer_samples(model, samples, loaded.plans, loaded.input)
    cast = original if samples.survive_cast else _cast_answers(loaded, samples)
    onnx_bytes = finish(graph, loaded.plans, original, opset=request.opset, ml_opset=request.ml_opset)
    notes += samples.notes + _left_out(loaded.plans, original)
    paths = _write(request.workdir, loaded.input.name, onnx_bytes, samples, original, cast)
    return RawConversion(
        **paths,
        reference="source",
        framework="sklearn",
        framework_version=metadata.version("scikit-learn"),
        synthetic=request.samples is None,
        seed=request.seed if request.samples is None else None,
        coverage=_coverage(loaded, groves, samples, original, counted=request.samples is None),
        columns={loaded.input.name: loaded.input.columns} if loaded.input.columns else {},
        labels=labels_of(model, original),
        versions={**{name: metadata.version(name) for name in _VERSIONS}, **_boosting_versions(model)},
        notes=notes,
    )


def _checked_input(model: Any, request: ConversionRequest, file: Any) -> ModelInput:
    """The model's input, with the name that ``--input`` gives it."""
    hints = request.inputs
    if len(hints) > 1 or any(hint.dtype != "FP32" for hint in hints):
        raise UsageError(
            f"--input {hints[-1].name}={hints[-1].dtype}: a numeric scikit-learn model has one input of type FP32",
            hint="give one --input NAME=FP32:N,COLUMNS, or none",
        )
    found = input_of(model, name=hints[0].name if hints else None, samples=file)
    taken = {plan.name for plan in outputs_of(model)}
    if found.name in taken:
        raise SampleError(f"the input cannot be named {found.name!r}: an output is", hint="name it X in the samples")
    return found


def _synthetic(loaded: Loaded, groves: list[Grove], *, seed: int) -> Samples:
    feed = loaded.input.feed

    def accepts(fed: Any) -> bool:
        try:
            answer(loaded.model, fed, loaded.plans)
        except ValueError:
            return False
        return True

    parts = parts_of(loaded.model, loaded.input.width)
    try:
        matrix = draw(parts, groves, loaded.input.width, seed=seed, feed=feed, accepts=accepts)
        if not accepts(feed(matrix[:1])):
            answer(loaded.model, feed(matrix[:1]), loaded.plans)
    except ValueError as error:
        raise ModelInvalid(
            f"the model refuses samples drawn for it: {str(error).splitlines()[0]}",
            hint="give rows that it accepts with --samples FILE",
        ) from error
    return Samples(feed(matrix), matrix)


def _cast_answers(loaded: Loaded, samples: Samples) -> Answers:
    try:
        return answer(loaded.model, samples.cast, loaded.plans)
    except ValueError as error:
        raise SampleError(
            f"the model refuses the samples once they are cast to FP32: {str(error).splitlines()[0]}",
            hint="its input needs more precision than FP32 has; give samples in a smaller range",
        ) from error


def _coverage(
    loaded: Loaded, groves: list[Grove], samples: Samples, answers: Mapping[str, Any], *, counted: bool
) -> Coverage:
    if not counted:
        for grove in groves:
            grove.see(samples.original)
    encoders = learn(parts_of(loaded.model, loaded.input.width), (), loaded.input.width).encoders
    return coverage_of(
        samples.matrix, groves, encoders, classes=classes_of(loaded.model), labels=answers.get("label")
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


def _write(
    folder: Path, name: str, onnx_bytes: bytes, samples: Samples, original: Answers, cast: Answers
) -> dict[str, Any]:
    paths = {
        "onnx": folder / "model.onnx",
        "samples": folder / "samples.npz",
        "reference_original": folder / "reference_original.npz",
        "reference_cast": folder / "reference_cast.npz",
    }
    paths["onnx"].write_bytes(onnx_bytes)
    _save(paths["samples"], {name: samples.matrix})
    _save(paths["reference_original"], original)
    _save(paths["reference_cast"], cast)
    return paths


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    np.savez(path, allow_pickle=False, **arrays)
