"""A module, or an exported program, as an ONNX file with the names and free axes that were asked for."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packager.converters.torch_export.capture import call, captured, recurrent_layers_whole
from packager.converters.torch_export.free_sizes import sizes_said
from packager.converters.torch_export.graph_names import name_axes, name_values, strip_provenance
from packager.converters.torch_export.proofs import check_free, check_not_random, check_sizes, stateless
from packager.converters.torch_export.refusals import not_translated
from packager.converters.torch_export.scripted import NEWEST_OPSET, write_script
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
    longest: Mapping[str, int] | None = None,
    opset: int = DEFAULT_OPSET,
) -> Exported:
    """Write a module to ``path`` by ``torch.export`` and the exporter that builds on it; never by tracing.

    A TorchScript module goes through the exporter that reads TorchScript, where a scripted branch becomes an ``If``.
    Call it in the process that holds the module, which it leaves in evaluation mode. The weights are in the file, or
    beside it (``path.name + ".data"``) where they are over 2 GB.

    Args:
        module: An ``nn.Module`` or ``ScriptModule`` that answers on the CPU. Its answer may be a tensor, or tensors in
            tuples, dicts and dataclasses (``ModelOutput`` too); None is left out.
        example: What ``forward`` is called with, by the names of its arguments: tensors, or tuples, lists and dicts of
            them. Other values (``return_dict=True``) are given as they are and become constants. Free axes should
            have a size of 2 or more, unlike that of other axes: torch takes 0 and 1 for constants.
        free_axes: By the name of a tensor (``named_tensors(example)``), the axes that are free and their names, as in
            ``{"ids": {0: "batch", 1: "sequence"}, "mask": {0: "batch", 1: "sequence"}}``. Axes of
            one name have one size.
        input_names: Of the ONNX inputs, in the order of ``named_tensors(example)``, whose names they have where None.
        longest: The largest size that a free axis has to take, by its name, such as the positions of a transformer.
        output_names: Of the ONNX outputs, in the order of ``output_tensors(answer)``, likewise.
        opset: 18 or later.

    Raises:
        ConverterMissing: An operator has no ONNX form; names it.
        ConversionError: The module branches on values, draws random numbers, keeps an axis to one size, or answers
            otherwise in ONNX Runtime.
    """
    module.eval()
    tensors = named_tensors(example)
    inputs, name = tuple(input_names or tensors), class_name(module)
    returned, notes = _written(module, example, path=path, free_axes=free_axes, longest=longest or {}, opset=opset)
    given = dict(zip(inputs, tensors.values(), strict=True))
    axes = dict(zip(inputs, (free_axes.get(tensor, {}) for tensor in tensors), strict=True))

    def answer(flat: Sequence[Any]) -> list[Any]:
        return list(output_tensors(call(module, example, flat)).values())

    exported = finished(path, answer, given, tuple(output_names or output_tensors(returned)), axes, name)
    return replace(exported, notes=(*notes, *exported.notes))


def _written(
    module: Any,
    example: Mapping[str, Any],
    *,
    path: Path,
    free_axes: Mapping[str, Mapping[int, str]],
    longest: Mapping[str, int],
    opset: int,
) -> tuple[Any, tuple[str, ...]]:
    """What the module returns for the example, and what is to be said of the file that was written of it."""
    import torch

    tensors, name = named_tensors(example), class_name(module)
    scripted = isinstance(module, torch.jit.ScriptModule)
    check_opset(opset, scripted=scripted)
    with torch.no_grad(), quiet():
        with stateless(module, name):
            returned = call(module, example, list(tensors.values()))
        if scripted:
            write_script(module, tensors, returned, path=path, free_axes=free_axes, opset=opset, name=name)
            return returned, ()
        program = captured(module, example, free_axes, longest)
        write_program(program, path=path, opset=opset, name=name)
        return returned, sizes_said(program, {tensor: free_axes.get(tensor, {}) for tensor in tensors})


def write_program(program: Any, *, path: Path, opset: int, name: str) -> None:
    """The ONNX file of an exported program (``torch.export``), with inputs and outputs in order.

    Raises:
        ConverterMissing, ConversionError: A part of it has no ONNX form.
    """
    import torch

    try:
        with quiet(), torch.no_grad(), recurrent_layers_whole():
            made = torch.onnx.export(program, (), dynamo=True, opset_version=opset, verbose=False, verify=False)
            made.save(path, external_data=_weight_bytes(program) > _MOST_BYTES)
    except Exception as error:  # noqa: BLE001 - the exporter's errors have no common root
        not_translated(error, name)


def finished(
    path: Path,
    answer: Callable[[Sequence[Any]], Sequence[Any]],
    tensors: Mapping[str, Any],
    output_names: tuple[str, ...],
    axes: Mapping[str, Mapping[int, str]],
    name: str,
) -> Exported:
    """A file as an exporter left it, with the model's own names, checked at two sizes of every free axis.

    Args:
        answer: The flat tensors that the source returns for flat tensors.
        tensors: An example of the inputs, by their names.
        axes: Free axes, by the same names.
    """
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


def class_name(module: Any) -> str:
    """What messages call a module; a script has the name of the class that it was made of."""
    return str(getattr(module, "original_name", None) or type(module).__name__)


def check_opset(opset: int, *, scripted: bool) -> None:
    """Refuse versions that the exporter does not write.

    Raises:
        ConversionError: Names the one that it does.
    """
    if opset < OLDEST_OPSET and not scripted:
        raise ConversionError(
            f"opset {opset} was asked for, and PyTorch's exporter writes {OLDEST_OPSET} and later",
            hint=f"leave --opset out, or give {OLDEST_OPSET}; a TorchScript file can be written with older ones",
        )
    if opset > NEWEST_OPSET and scripted:
        raise ConversionError(
            f"opset {opset} was asked for, and PyTorch writes TorchScript with {NEWEST_OPSET} at most",
            hint=f"leave --opset out, or give {DEFAULT_OPSET}",
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
