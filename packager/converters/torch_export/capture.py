"""A module as a graph of PyTorch's: with flat tensors in and out, and with the axes that were asked for free."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from packager.converters.torch_export.free_sizes import Axes, any_sizes, narrowed
from packager.converters.torch_export.refusals import not_captured
from packager.converters.torch_export.structure import map_tensors, named_tensors, output_tensors


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

    tensors = tuple(named_tensors(arguments).values())
    whole, dims = flat(module, arguments), any_sizes(arguments, free_axes, longest)
    try:
        with recurrent_layers_whole(), torch.no_grad():
            while True:  # every turn has fewer sizes than the one before
                try:
                    return torch.export.export(whole, tensors, dynamic_shapes=(dims,), strict=False)
                except torch._dynamo.exc.UserError as error:
                    if (fewer := narrowed(str(error), dims, tensors)) is None:
                        raise
                    dims = fewer
    except Exception as error:  # noqa: BLE001 - whatever torch raises means that it does not capture the module
        not_captured(error, type(module).__name__)


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
