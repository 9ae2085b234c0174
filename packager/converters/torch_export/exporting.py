"""A module, or an exported program, as an ONNX file with the names and free axes that were asked for."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packager.converters.torch_export.capture import captured, flat, recurrent_layers_whole
from packager.converters.torch_export.graph_names import name_axes, name_values, strip_provenance
from packager.converters.torch_export.proofs import check_free, check_not_random, check_sizes
from packager.converters.torch_export.refusals import not_translated
from packager.converters.torch_export.structure import named_tensors, output_tensors
from packager.core.conversion import DEFAULT_OPSET
from packager.core.errors import ConversionError

OLDEST_OPSET = 18
# Protobuf holds 2 GiB; what is larger has its weights beside it.
_MOST_BYTES = (1 << 31) - (64 << 20)


@dataclass(frozen=True, slots=True)
class Exported:
    """An ONNX file that answered as the module at two sizes of every free axis.

    Attributes:
        inputs, outputs: Names, in the order of the graph.
        notes: What a person should know, one sentence each.
    """

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()


def export(
    module: Any,
    example: Mapping[str, Any],
    *,
    path: Path,
    free_axes: Mapping[str, Mapping[int, str]],
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset: int = DEFAULT_OPSET,
) -> Exported:
    """Write a module to ``path`` by ``torch.export`` and the exporter that builds on it; never by tracing.

    Call it in the process that holds the module, which it leaves in evaluation mode. The weights are in the file, or
    beside it (``path.name + ".data"``) where they are over 2 GB.

    Args:
        module: An ``nn.Module`` that answers on the CPU. Its answer may be a tensor, or tensors in tuples, dicts and
            dataclasses (``ModelOutput`` too); None is left out.
        example: What ``forward`` is called with, by the names of its arguments: tensors, or tuples, lists and dicts of
            them. Other values (``return_dict=True``) are given as they are and become constants. Free axes should
            have a size of 2 or more, unlike that of other axes: torch takes 0 and 1 for constants.
        free_axes: By the name of a tensor (``named_tensors(example)``), the axes that are free and their names, as in
            ``{"ids": {0: "batch", 1: "sequence"}, "mask": {0: "batch", 1: "sequence"}}``. Axes of one name have one size.
        input_names: Of the ONNX inputs, in the order of ``named_tensors(example)``, whose names they have where None.
        output_names: Of the ONNX outputs, in the order of ``output_tensors(answer)``, likewise.
        opset: 18 or later.

    Raises:
        ConverterMissing: An operator has no ONNX form; names it.
        ConversionError: The module branches on values, draws random numbers, keeps an axis to one size, or answers
            otherwise in ONNX Runtime.
    """
    import torch

    _check_opset(opset)
    module.eval()
    tensors = named_tensors(example)
    whole = flat(module, example)
    with torch.no_grad(), quiet():
        outputs = tuple(output_names or output_tensors(module_answer(whole, module, example, tensors)))
        program = captured(module, example, free_axes)
    return write(
        program,
        lambda given: whole(*given),
        tensors,
        name=type(module).__name__,
        path=path,
        free_axes=free_axes,
        input_names=tuple(input_names or tensors),
        output_names=outputs,
        opset=opset,
    )


def module_answer(whole: Any, module: Any, example: Mapping[str, Any], tensors: Mapping[str, Any]) -> Any:
    """What the module returns for the example, as it returns it."""
    from packager.converters.torch_export.capture import call

    return call(module, example, list(tensors.values()))


def write(
    program: Any,
    answer: Callable[[Sequence[Any]], Sequence[Any]],
    tensors: Mapping[str, Any],
    *,
    name: str,
    path: Path,
    free_axes: Mapping[str, Mapping[int, str]],
    input_names: tuple[str, ...],
    output_names: tuple[str, ...],
    opset: int,
) -> Exported:
    """The ONNX file of an exported program (``torch.export``) whose axes are free already.

    Args:
        answer: The flat tensors that the source returns for flat tensors.
        tensors: An example of the inputs, in order.
        free_axes: By the names of ``tensors``.
    """
    import torch

    try:
        with quiet(), torch.no_grad(), recurrent_layers_whole():
            made = torch.onnx.export(program, (), dynamo=True, opset_version=opset, verbose=False, verify=False)
            made.save(path, external_data=_weight_bytes(program) > _MOST_BYTES)
    except Exception as error:  # noqa: BLE001 - the exporter's errors have no common root
        not_translated(error, name)
    axes = dict(zip(input_names, (free_axes.get(tensor, {}) for tensor in tensors), strict=True))
    return finished(path, answer, dict(zip(input_names, tensors.values(), strict=True)), output_names, axes, name)


def finished(
    path: Path,
    answer: Callable[[Sequence[Any]], Sequence[Any]],
    tensors: Mapping[str, Any],
    output_names: tuple[str, ...],
    axes: Mapping[str, Mapping[int, str]],
    name: str,
) -> Exported:
    """A file as an exporter left it, with the model's own names, checked at two sizes."""
    import onnx
    import torch

    outputs, notes = _apart(tuple(tensors), output_names)
    model = onnx.load(path, load_external_data=False)
    strip_provenance(model)
    name_values(model, tuple(tensors), outputs)
    check_free(model, axes)
    name_axes(model, axes)
    check_not_random(model, name)
    onnx.save(model, path)
    with torch.no_grad(), quiet():
        check_sizes(path, answer, tensors, axes)
    return Exported(path, tuple(tensors), outputs, notes)


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's warnings: what they say that matters is checked, and refused by name."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _check_opset(opset: int) -> None:
    if opset < OLDEST_OPSET:
        raise ConversionError(
            f"opset {opset} was asked for, and PyTorch's exporter writes {OLDEST_OPSET} and later",
            hint=f"leave --opset out, or give {OLDEST_OPSET}; a TorchScript file can be written with older ones",
        )


def _weight_bytes(program: Any) -> int:
    tensors = {**program.state_dict, **program.constants}.values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if hasattr(tensor, "numel"))


def _apart(inputs: tuple[str, ...], outputs: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Output names that no input has, and what is to be said of those that were changed."""
    names: list[str] = []
    notes = []
    for output in outputs:
        fresh = output
        while fresh in inputs or fresh in names:
            fresh = f"{fresh}_output"
        if fresh != output:
            notes.append(f"the output {output!r} is named {fresh!r}, because an input has its name")
        names.append(fresh)
    return tuple(names), tuple(notes)
