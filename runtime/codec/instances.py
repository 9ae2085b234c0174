"""The two forms of TensorFlow Serving: ``instances`` (row by row) and ``inputs`` (input by input) → tensors."""

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.codec.frames import tensors_from_columns, tensors_from_records
from runtime.codec.values import Array, array_of, check_shape, flatten, position_of, wrong_input
from runtime.contract.cells import CellError, show, values_from_json
from runtime.contract.manifest import Signature, TensorSpec
from runtime.errors import InvalidInput


def tensors_from_instances(instances: object, signature: Signature, where: str) -> dict[str, Array]:
    """The tensors of a list of rows: of the only input, or objects by input name or by column name.

    Raises:
        InvalidInput: Names the tensor or the column, what was expected and what came.
    """
    if not isinstance(instances, list):
        raise InvalidInput(f"{where!r} must be an array of rows, got {show(instances)}")
    if not (instances and isinstance(instances[0], dict)):
        spec = _only(signature, where)
        return {spec.name: _tensor(spec, instances, {})}
    if not _by_input(instances[0], signature):
        return tensors_from_records(instances, signature, where)
    return _tensors({spec.name: _picked(instances, spec.name, where) for spec in signature.inputs}, signature)


def tensors_from_inputs(inputs: object, signature: Signature, where: str) -> dict[str, Array]:
    """The tensors of an object by input name or by column name; a list is the only input, or rows.

    Raises:
        InvalidInput: Names the tensor or the column, what was expected and what came.
    """
    if not isinstance(inputs, dict):
        return tensors_from_instances(inputs, signature, where)
    for name, values in inputs.items():
        if not isinstance(values, list):
            raise InvalidInput(f"{where}.{name} must be an array with one entry a row, got {show(values)}")
    if not _by_input(inputs, signature):
        return tensors_from_columns(inputs, signature, where)
    return _tensors(inputs, signature)


def _by_input(names: Mapping[str, Any], signature: Signature) -> bool:
    return all(spec.name in names and spec.name not in (spec.columns or ()) for spec in signature.inputs)


def _only(signature: Signature, where: str) -> TensorSpec:
    if len(signature.inputs) != 1:
        names = ", ".join(repr(spec.name) for spec in signature.inputs)
        raise InvalidInput(
            f"the model has {len(signature.inputs)} inputs, and {where!r} does not say which value is for which",
            hint=f"send objects by input name: {names}",
        )
    return signature.inputs[0]


def _picked(rows: Sequence[Any], name: str, where: str) -> list[Any]:
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or name not in row:
            raise InvalidInput(f"input {name!r} is missing in {where}[{index}]", detail={"tensor": name, "row": index})
    return [row[name] for row in rows]


def _tensors(values: Mapping[str, list[Any]], signature: Signature) -> dict[str, Array]:
    bound: dict[str, int] = {}
    return {spec.name: _tensor(spec, values[spec.name], bound) for spec in signature.inputs}


def _tensor(spec: TensorSpec, values: list[Any], bound: dict[str, int]) -> Array:
    shape = _shape(spec, values)
    check_shape(spec, shape, bound)
    flat = flatten(spec, shape, values)
    try:
        typed = values_from_json(spec.dtype, flat)
    except CellError as error:
        raise wrong_input(spec, error.expected, f"{error.actual} at position {error.index}") from error
    return array_of(spec.dtype, typed, position_of(spec)).reshape(shape)


def _shape(spec: TensorSpec, values: list[Any]) -> list[int]:
    """The shape as the nesting has it; a last axis of 1 may be left out, and without rows it is the signature's."""
    shape: list[int] = []
    level: Any = values
    while isinstance(level, list) and len(shape) < len(spec.shape):
        shape.append(len(level))
        if not level:
            return [*shape, *(dim if isinstance(dim, int) else 0 for dim in spec.shape[len(shape) :])]
        level = level[0]
    if len(shape) == len(spec.shape) - 1 and spec.shape[-1] == 1:
        shape.append(1)
    return shape
