"""From a request to ONNX, samples and the model's answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.pytorch import drawing
from packager.converters.pytorch.answers import answers, asked
from packager.converters.pytorch.arguments import Arguments, arguments_of, by_name, tensors_of
from packager.converters.pytorch.given import given_samples
from packager.converters.pytorch.inferring import inferred, unknown_inputs
from packager.converters.pytorch.inputs import Form, form_of_arrays, form_of_hints
from packager.converters.pytorch.loading import Loaded, load
from packager.converters.pytorch.sources import Source, module_source, program_source, program_tensors
from packager.converters.pytorch.tensors import as_taken, enlarged, float_type
from packager.converters.torch_export.exporting import class_name
from packager.core.conversion import ConversionRequest, RawConversion
from packager.core.errors import ConversionError, SampleError
from packager.core.extras import versions_of
from packager.core.progress import Progress
from runtime.contract.certificate import Coverage

Array = NDArray[Any]
_MOST_ROWS = 4096
_WEAK = "samples drawn by type and shape alone"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A model, what it is asked, and how its inputs look."""

    source: Source
    form: Form
    samples: Mapping[str, Array]
    synthetic: bool
    notes: tuple[str, ...] = ()


def convert(request: ConversionRequest, progress: Progress) -> RawConversion:
    """See ``TorchConverter.convert``."""
    import torch

    progress.step("loading the model with PyTorch")
    loaded = load(request)
    prepared = _prepared(loaded, request)
    form, source = prepared.form, prepared.source
    wanted = float_type(loaded.model)
    tensors, notes = _taken(source, prepared.samples, form, wanted)
    progress.step("asking the model")
    rows = None if form.whole_call else len(next(iter(tensors.values())))
    reference = answers(source, list(tensors.values()), rows=rows, step=form.fixed_rows or 1)
    progress.step("exporting to ONNX")
    path = request.workdir / "model.onnx"
    exported = source.write(list(enlarged(tensors, form).values()), form.axes, path, request.opset)
    renamed = dict(zip(exported.outputs, reference.values(), strict=True))
    saved = _save(request.workdir / "reference.npz", renamed)
    # A module takes numbers of its own type only, so what it answers to the original values are these answers.
    return RawConversion(
        onnx=exported.path,
        samples=_save(request.workdir / "samples.npz", prepared.samples),
        reference="source",
        reference_original=saved,
        reference_cast=saved,
        framework="torch",
        framework_version=str(torch.__version__),
        synthetic=prepared.synthetic,
        seed=request.seed if prepared.synthetic else None,
        coverage=Coverage(weak=True, reason=_WEAK) if prepared.synthetic else Coverage(),
        versions=versions_of("torch", "onnxscript"),
        notes=(*loaded.notes, *prepared.notes, *notes, *exported.notes),
    )


def _prepared(loaded: Loaded, request: ConversionRequest) -> _Prepared:
    import torch

    if isinstance(loaded.model, torch.export.ExportedProgram):
        return _of_program(loaded, request)
    arguments = arguments_of(loaded.model)
    if loaded.example is not None:
        structure = by_name(loaded.example, arguments)
        example = {name: tensor.detach().cpu().numpy() for name, tensor in tensors_of(structure).items()}
        return _with_example(module_source(loaded.model, structure, tuple(example)), example, loaded.model, request)
    if request.samples is not None:
        samples = given_samples(request.samples, arguments)
        form = form_of_arrays(samples, request)
        return _Prepared(_plain_source(loaded.model, form, arguments), form, samples, synthetic=False)
    said = form_of_hints(arguments, request) or inferred(loaded.model, arguments)
    if said is None:
        raise unknown_inputs(loaded.model, arguments, class_name(loaded.model))
    notes = () if request.inputs else (f"the shape of {said.inputs[0].name!r} is that of the first layer",)
    return replace(_drawn(_plain_source(loaded.model, said, arguments), said, loaded.model, request, {}), notes=notes)


def _of_program(loaded: Loaded, request: ConversionRequest) -> _Prepared:
    source = program_source(loaded.model)
    example = {name: tensor.detach().cpu().numpy() for name, tensor in program_tensors(loaded.model).items()}
    if not example and request.samples is None:
        raise SampleError(
            f"nothing says what {source.name} is called with: the file holds no example of its inputs",
            hint=f"give rows of real inputs with --samples FILE.npz, by the names {', '.join(source.inputs)}",
        )
    return _with_example(source, example, loaded.model, request)


def _with_example(source: Source, example: dict[str, Array], model: Any, request: ConversionRequest) -> _Prepared:
    if request.samples is not None:
        arrays = given_samples(request.samples, Arguments(source.inputs, source.inputs))
        form = form_of_arrays({name: arrays[name] for name in source.inputs}, request).limited_to(
            source.axes, source.name
        )
        return _Prepared(source, form, {name: arrays[name] for name in source.inputs}, synthetic=False)
    form = form_of_arrays(example, request).limited_to(source.axes, source.name)
    if form.whole_call:
        return _Prepared(source, form, example, synthetic=True, notes=("the inputs share no rows: a sample is a call",))
    return _drawn(source, form, model, request, example)


def _plain_source(model: Any, form: Form, arguments: Arguments) -> Source:
    """A model whose arguments are tensors, each under the name of its argument, or by position."""
    import torch

    names = tuple(one.name for one in form.inputs)
    keys = tuple(map(str, range(len(names)))) if arguments.open else names
    return module_source(model, {key: torch.zeros(1) for key in keys}, names)


def _drawn(
    source: Source, form: Form, model: Any, request: ConversionRequest, example: Mapping[str, Array]
) -> _Prepared:
    """Samples drawn with the seed; integers within the tables that they index."""
    import torch

    rng = np.random.default_rng(request.seed)
    step = form.fixed_rows or 1
    count = step * max(1, drawing.rows_for(sum(int(np.prod(one.shape[1:])) for one in form.inputs)) // step)
    few = {one.name: torch.from_numpy(np.zeros((step, *one.shape[1:]), one.dtype)) for one in form.inputs}
    limits: Mapping[str, int] = {}
    if not isinstance(model, torch.export.ExportedProgram):
        limits = drawing.vocabularies(model, few, lambda: _asked_quietly(source, few, model))
    samples = {
        one.name: drawing.drawn(
            rng,
            (count, *one.shape[1:]),
            one.dtype,
            vocabulary=limits.get(one.name),
            like=example.get(one.name),
        )
        for one in form.inputs
    }
    return _Prepared(source, form, samples, synthetic=True)


def _asked_quietly(source: Source, tensors: Mapping[str, Any], model: Any) -> None:
    """Ask, to see which layers get what; what stops the model here is said when it is asked in earnest."""
    try:
        asked(source, [as_taken(tensor.numpy(), float_type(model)) for tensor in tensors.values()])
    except SampleError:
        return


def _taken(
    source: Source, samples: Mapping[str, Array], form: Form, wanted: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The samples as the model takes them: integers as floats where it takes no integers."""
    types = {one.name: one.dtype for one in form.inputs}
    given = {name: samples[name].astype(types[name]) for name in source.inputs}
    fixed = {name for name in source.inputs if types[name] != samples[name].dtype}  # --input says so
    tensors = {name: as_taken(array, None if name in fixed else wanted) for name, array in given.items()}
    few = [tensor[: form.fixed_rows or 1] if not form.whole_call else tensor for tensor in tensors.values()]
    whole = [name for name, array in given.items() if array.dtype.kind in "iu" and name not in fixed]
    try:
        asked(source, few)
    except SampleError:
        _check_not_frozen(source, tensors, few)
        if not whole or wanted is None:
            raise
        as_floats = {name: tensor.to(wanted) if name in whole else tensor for name, tensor in tensors.items()}
        asked(source, [as_floats[name][: len(few[index])] for index, name in enumerate(source.inputs)])
        return as_floats, (f"the whole numbers of {', '.join(whole)} are given to the model as floats",)
    return tensors, ()


def _check_not_frozen(source: Source, tensors: Mapping[str, Any], few: Sequence[Any]) -> None:
    """Where all samples at once are taken and a part of them is not, the batch is fixed in the model's own code."""
    rows = {len(tensor) for tensor in tensors.values() if tensor.ndim}
    if len(rows) != 1 or len(few[0]) == (count := rows.pop()) or count > _MOST_ROWS:
        return
    try:
        asked(source, list(tensors.values()))
    except SampleError:
        return
    raise ConversionError(
        f"{source.name} takes {count} rows at once and no {len(few[0])}: its batch axis is frozen",
        hint="take sizes from the tensor, as in x.shape[0], not from constants; or fix it with"
        f" --input NAME=DTYPE:{count},…",
        detail={"rows": count},
    )


def _save(path: Path, arrays: Mapping[str, Array]) -> Path:
    np.savez(path, allow_pickle=False, **arrays)
    return path
