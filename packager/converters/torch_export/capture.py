"""A module as a graph of PyTorch's: with flat tensors in and out, and with the axes that were asked for free."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from packager.converters.torch_export.refusals import not_captured
from packager.converters.torch_export.structure import map_tensors, named_tensors, output_tensors

_MULTIPLE = re.compile(r"(\w+) = (\d+)\*_\w+")
_HELPER = re.compile(r"_\w+ = Dim\(")
Axes = Mapping[str, Mapping[int, str]]


def flat(module: Any, arguments: Mapping[str, Any]) -> Any:
    """A module of flat tensors: in the order of ``named_tensors`` in, in the order of ``output_tensors`` out."""
    import torch

    class Flat(torch.nn.Module):  # type: ignore[misc]  # torch is not there for mypy
        def __init__(self) -> None:
            super().__init__()
            self.model = module

        def forward(self, *tensors: Any) -> tuple[Any, ...]:
            return tuple(output_tensors(call(self.model, arguments, tensors)).values())

    return Flat().eval()


def call(module: Any, arguments: Mapping[str, Any], tensors: Sequence[Any]) -> Any:
    """The module's answer to arguments of this structure with other tensors in it.

    Arguments whose names are numbers are given by position.
    """
    given = iter(tensors)
    filled = {name: map_tensors(value, lambda _: next(given)) for name, value in arguments.items()}
    positional = [value for name, value in filled.items() if name.isdecimal()]
    return module(*positional, **{name: value for name, value in filled.items() if not name.isdecimal()})


def captured(module: Any, arguments: Mapping[str, Any], free_axes: Axes, longest: Mapping[str, int]) -> Any:
    """The exported program of the module, whose inputs and outputs are flat.

    Args:
        longest: The largest size of a free axis, by its name; without bound where it is not there.

    Raises:
        ConversionError: The module has no single graph, or an axis that should be free is not.
    """
    import torch

    names, tensors = zip(*named_tensors(arguments).items(), strict=True)
    sizes = {
        axis: torch.export.Dim(axis, max=longest.get(axis)) for axes in free_axes.values() for axis in axes.values()
    }
    dims = tuple(
        {index: sizes[axis] for index, axis in free_axes[name].items()} if free_axes.get(name) else None
        for name in names
    )
    whole = flat(module, arguments)
    try:
        with recurrent_layers_whole(), torch.no_grad():
            try:
                return torch.export.export(whole, tensors, dynamic_shapes=(dims,), strict=False)
            except torch._dynamo.exc.UserError as error:
                multiples = _in_multiples(str(error), dims)
                if multiples is None:
                    raise
                return torch.export.export(whole, tensors, dynamic_shapes=(multiples,), strict=False)
    except Exception as error:  # noqa: BLE001 - whatever torch raises means that it does not capture the module
        not_captured(error, type(module).__name__)


def multiples_of(program: Any, free_axes: Axes) -> tuple[str, ...]:
    """What is to be said of axes that are free in multiples only."""
    shapes = [
        node.meta["val"].shape for node in program.graph.nodes if node.name in program.graph_signature.user_inputs
    ]
    said = {
        axis: found[1]
        for shape, axes in zip(shapes, free_axes.values(), strict=True)
        for index, axis in axes.items()
        if (found := re.fullmatch(r"(\d+)\*\w+", str(shape[index])))
    }
    return tuple(f"the size of the axis {axis!r} must be a multiple of {factor}" for axis, factor in said.items())


def _in_multiples(refusal: str, dims: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The axes as multiples of what torch says they must be, as of images that are halved and doubled again.

    None where it asks for anything else: a size that is fixed, or axes that are equal.
    """
    import torch

    fixes = [line.strip() for line in refusal.partition("Suggested fixes:")[2].partition("\n\n")[0].splitlines()]
    found = {name[1]: int(name[2]) for line in fixes if (name := _MULTIPLE.fullmatch(line))}
    if not found or not all(not line or _MULTIPLE.fullmatch(line) or _HELPER.match(line) for line in fixes):
        return None
    sizes = {name: factor * torch.export.Dim(f"_{name}") for name, factor in found.items()}
    return tuple(axes and {index: sizes.get(dim.__name__, dim) for index, dim in axes.items()} for axes in dims)


@contextmanager
def recurrent_layers_whole() -> Iterator[None]:
    """Keep an LSTM or GRU one node, whatever the length of its sequence.

    Otherwise torch (2.13) runs its steps one by one to find the shapes of its answers, which freezes the length.
    """
    import torch

    key, table = torch._C.DispatchKey.CompositeImplicitAutograd, torch._decomp.decomposition_table
    shapes = {torch.ops.aten.lstm.input: _lstm_shapes, torch.ops.aten.gru.input: _gru_shapes}
    before = {operator: (dict(operator.py_kernels), table.get(operator)) for operator in shapes}
    for operator, rule in shapes.items():
        _use_rules(operator, {**operator.py_kernels, key: rule}, table, rule)
    try:
        yield
    finally:
        for operator, (kernels, decomposition) in before.items():
            _use_rules(operator, kernels, table, decomposition)


def _use_rules(operator: Any, kernels: Mapping[Any, Any], table: Any, decomposition: Any) -> None:
    operator.py_kernels.clear()
    operator.py_kernels.update(kernels)
    operator._dispatch_cache.clear()
    table.pop(operator, None)
    if decomposition is not None:
        table[operator] = decomposition


def _lstm_shapes(x: Any, states: Any, *settings: Any) -> tuple[Any, Any, Any]:
    hidden, cell = states
    return _steps_like(x, hidden, settings), hidden.new_empty(hidden.shape), cell.new_empty(cell.shape)


def _gru_shapes(x: Any, hidden: Any, *settings: Any) -> tuple[Any, Any]:
    return _steps_like(x, hidden, settings), hidden.new_empty(hidden.shape)


def _steps_like(x: Any, hidden: Any, settings: Sequence[Any]) -> Any:
    """What comes out at every step. Settings: params, has_biases, num_layers, dropout, train, bidirectional."""
    directions = 2 if settings[5] else 1
    return x.new_empty((*x.shape[:2], directions * hidden.shape[2]))
