"""A model as conversion needs it: names of its inputs, its answers to flat tensors, and its way to ONNX."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packager.converters.pytorch.inputs import BATCH, Axes
from packager.converters.torch_export import Exported, export, output_tensors
from packager.converters.torch_export.capture import call
from packager.converters.torch_export.exporting import check_opset, class_name, finished, quiet, write_program
from packager.converters.torch_export.proofs import stateless
from packager.core.errors import ConversionError

Write = Callable[[Sequence[Any], Axes, Path, int], Exported]


@dataclass(frozen=True, slots=True)
class Source:
    """A model that answers.

    Attributes:
        name: Of its class.
        inputs: Names, in the order in which ``answer`` takes tensors.
        answer: What the model returns, as it returns it.
        write: Writes ONNX from example tensors, free axes, a path and an opset.
        axes: Those that are free whatever is asked, because the model was saved so; None where that is decided here.
    """

    name: str
    inputs: tuple[str, ...]
    answer: Callable[[Sequence[Any]], Any]
    write: Write
    axes: Axes | None = None


def module_source(module: Any, structure: Mapping[str, Any], inputs: tuple[str, ...]) -> Source:
    """A module or script that is called with this structure of tensors, whose inputs have these names."""

    def write(tensors: Sequence[Any], axes: Axes, path: Path, opset: int) -> Exported:
        given = _filled(structure, tensors)
        by_own_name = dict(zip(_own_names(structure), (axes[name] for name in inputs), strict=True))
        return export(module, given, path=path, free_axes=by_own_name, input_names=inputs, opset=opset)

    return Source(class_name(module), inputs, lambda tensors: call(module, structure, tensors), write)


def program_source(program: Any) -> Source:
    """An exported program, whose free axes are those that it was exported with.

    Raises:
        ConversionError: An argument of it is no tensor.
    """
    from torch.utils import _pytree as pytree

    module = program.module(check_guards=False) if _takes_guards(program) else program.module()
    inputs = program.graph_signature.user_inputs
    if not all(isinstance(name, str) for name in inputs):
        raise ConversionError(
            "the exported program takes an argument that is no tensor", hint="export it with tensors as arguments only"
        )
    name = _class_of(program)

    def answer(tensors: Sequence[Any]) -> Any:
        args, kwargs = pytree.tree_unflatten(list(tensors), program.call_spec.in_spec)
        return module(*args, **kwargs)

    def write(tensors: Sequence[Any], axes: Axes, path: Path, opset: int) -> Exported:
        check_opset(opset, scripted=False)
        write_program(program, path=path, opset=opset, name=name)
        with quiet(), stateless(module, name):
            outputs = tuple(output_tensors(answer(tensors)))
        given = dict(zip(inputs, tensors, strict=True))
        return finished(path, lambda flat: list(output_tensors(answer(flat)).values()), given, outputs, axes, name)

    return Source(name, tuple(inputs), answer, write, _program_axes(program))


def program_tensors(program: Any) -> dict[str, Any]:
    """The example that a program was exported with, by input name; empty where the file holds none."""
    import torch
    from torch.utils import _pytree as pytree

    if program.example_inputs is None:
        return {}
    flat = [value for value in pytree.tree_leaves(program.example_inputs) if isinstance(value, torch.Tensor)]
    return dict(zip(program.graph_signature.user_inputs, flat, strict=False))


def _program_axes(program: Any) -> Axes:
    """By input name, axes whose size is a symbol; the same symbol gets the same name."""
    placeholders = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    names: dict[str, str] = {}
    axes: Axes = {}
    for name in program.graph_signature.user_inputs:
        axes[name] = {}
        for index, size in enumerate(placeholders[name].shape):
            if isinstance(size, int):
                continue
            taken = BATCH if index == 0 and BATCH not in names.values() else f"{name}_{index}"
            axes[name][index] = names.setdefault(str(size), taken)
    return axes


def _takes_guards(program: Any) -> bool:
    import inspect

    return "check_guards" in inspect.signature(program.module).parameters


def _class_of(program: Any) -> str:
    """The class that was exported, as the graph remembers it."""
    for node in program.graph.nodes:
        for _, kind in (node.meta.get("nn_module_stack") or {}).values():
            return str(getattr(kind, "__name__", kind)).rpartition(".")[2]
    return "the exported program"


def _own_names(structure: Mapping[str, Any]) -> list[str]:
    from packager.converters.torch_export import named_tensors

    return list(named_tensors(structure))


def _filled(structure: Mapping[str, Any], tensors: Sequence[Any]) -> dict[str, Any]:
    from packager.converters.torch_export.structure import map_tensors

    given = iter(tensors)
    return {name: map_tensors(value, lambda _: next(given)) for name, value in structure.items()}
