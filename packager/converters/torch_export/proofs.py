"""What must be true of an exported graph: nothing random in it, free axes free, and other sizes answered alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from packager.core.errors import ConversionError

_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
# Other sizes of a free axis: shorter, for models with a longest; longer, for those with a shortest; twice, for pairs.
_CHANGES: tuple[Callable[[int], int], ...] = (
    lambda size: size - 1,
    lambda size: size + 3,
    lambda size: size + 1,
    lambda size: 2 * size,
    lambda size: size // 2,
)
_ATOL, _RTOL = 1e-4, 1e-3  # the parent holds the model to its own; this one finds shapes that were frozen


def check_not_random(model: onnx.ModelProto, name: str) -> None:
    """Refuse a graph that draws random numbers.

    Raises:
        ConversionError: Names the operators.
    """
    nodes = [*_nodes(model.graph.node), *(node for function in model.functions for node in _nodes(function.node))]
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {node.op_type for node in nodes if node.op_type in _RANDOM or _trains(node, constants, nodes)}
    if found:
        raise ConversionError(
            f"{name} draws random numbers when it answers ({', '.join(sorted(found))}), so no two answers are equal",
            hint="draw them outside and pass them in; give dropout the flag of its module (training=self.training)",
            detail={"operators": sorted(found)},
        )


@contextmanager
def stateless(module: Any, name: str) -> Iterator[None]:
    """Refuse a module that changes itself when it answers in the block: the next answer would be another one.

    Raises:
        ConversionError: Names the buffers.
    """
    before = _states(module)
    yield
    if changed := sorted(buffer for buffer, state in _states(module).items() if state != before.get(buffer)):
        raise ConversionError(
            f"{name} changes its own state when it answers ({', '.join(changed)}), and a graph keeps none",
            hint="pass the state in and out, or leave the change out in evaluation mode (if self.training)",
            detail={"buffers": changed},
        )


def _states(module: Any) -> dict[str, tuple[int, int]]:
    """Of each buffer, where it lies and how often it was written to."""
    return {buffer: (tensor.data_ptr(), tensor._version) for buffer, tensor in module.named_buffers()}


def check_free(model: onnx.ModelProto, free_axes: Mapping[str, Mapping[int, str]]) -> None:
    """Every axis that was asked to be free is free in the graph.

    Raises:
        ConversionError: Names the axis, and the size that it has.
    """
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for index, axis in free_axes.get(value.name, {}).items():
            if index >= len(dims):
                raise ConversionError(f"{value.name!r} has {len(dims)} axes, and {axis!r} would be number {index}")
            if not dims[index].dim_param:
                raise ConversionError(
                    f"the axis {axis!r} of {value.name!r} was asked to be free and came out as {dims[index].dim_value}",
                    hint="take sizes from the tensor, as in x.shape[0], not from constants, or fix it with --input",
                    detail={"input": value.name, "axis": index, "size": dims[index].dim_value},
                )


def check_sizes(
    path: Path,
    answer: Callable[[Sequence[Any]], Sequence[Any]],
    tensors: Mapping[str, Any],
    free_axes: Mapping[str, Mapping[int, str]],
) -> None:
    """The file answers as the module does, at the sizes of ``tensors`` and at another size of every free axis.

    Raises:
        ConversionError: It answers otherwise at one of them, or the module itself takes one size only.
    """
    from packager.converters.onnx_files import open_session

    session = open_session(path)
    _compare(session, tensors, answer(list(tensors.values())))
    if not any(free_axes.values()):
        return
    for change in _CHANGES:
        other = _resized(tensors, free_axes, change)
        try:
            expected = answer(list(other.values()))
        except Exception:  # noqa: BLE001, S112 - the module takes no such size; the next may do
            continue
        _compare(session, other, expected)
        _check_ones(session, answer, tensors, free_axes)
        return
    axes = ", ".join(dict.fromkeys(axis for axes in free_axes.values() for axis in axes.values()))
    raise ConversionError(
        f"the model itself takes no other size of {axes}",
        hint="fix the sizes with --input NAME=DTYPE:D0,D1,…",
    )


def _check_ones(
    session: Any,
    answer: Callable[[Sequence[Any]], Sequence[Any]],
    tensors: Mapping[str, Any],
    free_axes: Mapping[str, Mapping[int, str]],
) -> None:
    """The size 1, which torch takes for another case than all others; of the batch, the parent proves it."""
    beside = {name: {index: axis for index, axis in axes.items() if index} for name, axes in free_axes.items()}
    if not any(beside.values()):
        return
    other = _resized(tensors, beside, lambda _: 1)
    try:
        expected = answer(list(other.values()))
    except Exception:  # noqa: BLE001 - the module takes no such size, and nothing is to be compared
        return
    _compare(session, other, expected)


def _compare(session: Any, tensors: Mapping[str, Any], expected: Sequence[Any]) -> None:
    import numpy as np

    from packager.converters.onnx_files import ORT_ERRORS

    taken = {arg.name for arg in session.get_inputs()}
    shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in tensors.items())
    try:
        found = session.run(None, {name: tensor.numpy() for name, tensor in tensors.items() if name in taken})
    except ORT_ERRORS as error:
        raise ConversionError(
            f"the ONNX graph stops at {shapes}, which the model takes: {' '.join(str(error).split())[:300]}",
            hint="a size was frozen while the model was exported: take sizes from the tensor, not from constants",
        ) from error
    for output, got, wanted in zip(session.get_outputs(), found, expected, strict=True):
        want = wanted.detach().numpy()
        same = got.shape == want.shape and np.allclose(
            got.astype(np.float64), want.astype(np.float64), atol=_ATOL, rtol=_RTOL, equal_nan=True
        )
        if not same and want.dtype != np.float16:
            raise ConversionError(
                f"the ONNX graph answers {shapes} otherwise than the model: {output.name!r} is {_seen(got)}, expected"
                f" {_seen(want)}",
                hint="a size or a branch was frozen while the model was exported; take sizes from the tensor",
            )


def _seen(array: Any) -> str:
    return f"{list(array.shape)} beginning {array.ravel()[:3].tolist()}"


def _resized(
    tensors: Mapping[str, Any], free_axes: Mapping[str, Mapping[int, str]], change: Callable[[int], int]
) -> dict[str, Any]:
    """Every free axis of another size, as ``change`` says; what is there is repeated."""
    import torch

    resized = {}
    for name, tensor in tensors.items():
        other = tensor
        for axis in free_axes.get(name, {}):
            size = tensor.shape[axis]
            other = other.index_select(axis, torch.arange(max(1, change(size))) % size)
        resized[name] = other
    return resized


def _nodes(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    found = []
    for node in nodes:
        found.append(node)
        for attribute in node.attribute:
            graphs = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs
            for graph in graphs:
                found += _nodes(graph.node)
    return found


def _trains(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto], nodes: Sequence[onnx.NodeProto]) -> bool:
    """Whether it is a Dropout that drops: one whose third input is not a constant false."""
    if node.op_type != "Dropout" or len(node.input) < 3 or not node.input[2]:
        return False
    tensor = constants.get(node.input[2])
    if tensor is None:
        made = [one for one in nodes if node.input[2] in one.output and one.op_type == "Constant"]
        tensor = next((attribute.t for one in made for attribute in one.attribute if attribute.name == "value"), None)
    return tensor is None or bool(onnx.numpy_helper.to_array(tensor).any())
