"""Arguments and answers of modules as named tensors: dict keys, fields and positions become names."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from packager.core.errors import ConversionError

OUTPUT = "output"


def named_tensors(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Every tensor in the arguments of a call, by name: ``x``, or ``states_0`` and ``states_1`` of a tuple.

    Raises:
        ConversionError: An argument holds something that is neither a tensor nor None, nor made of them.
    """
    return _unique(pair for name, value in arguments.items() for pair in _walk(value, name, "argument"))


def output_tensors(answer: Any) -> dict[str, Any]:
    """Every tensor in what a module returned, by name.

    A dict's keys and a dataclass's or named tuple's fields are names; of a tuple, ``output_0`` and so on; a single
    tensor is ``output``. None is left out.

    Raises:
        ConversionError: The answer holds something else, or no tensor at all.
    """
    if type(answer) in (tuple, list) and len(answer) == 1:
        answer = answer[0]
    found = _unique(_walk(answer, "", "output"))
    if not found:
        raise ConversionError(
            f"the model returns no tensor but {type(answer).__name__}",
            hint="return a tensor, or a tuple or dict of them",
        )
    return found


def map_tensors(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same structure with every tensor replaced."""
    if _is_tensor(value):
        return change(value)
    if isinstance(value, Mapping):
        return type(value)({key: map_tensors(item, change) for key, item in value.items()})  # type: ignore[call-arg]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(item, change) for item in value))
    if isinstance(value, tuple | list):
        return type(value)(map_tensors(item, change) for item in value)
    return value


def _walk(value: Any, name: str, kind: str) -> Iterator[tuple[str, Any]]:
    if _is_tensor(value):
        yield name or OUTPUT, value
        return
    parts = _parts(value, name or (OUTPUT if kind == "output" else ""))
    if parts is not None:
        for inner, item in parts:
            yield from _walk(item, inner, kind)
    elif value is not None and not (kind == "argument" and isinstance(value, bool | int | float | str)):
        raise ConversionError(
            f"the {kind} {name or OUTPUT!r} is a {type(value).__name__}, not a tensor",
            hint="return tensors only, or a tuple, dict or dataclass of them; wrap the model where it does not",
        )


def _parts(value: Any, name: str) -> list[tuple[str, Any]] | None:
    """The items of a container under their names; None where it is none."""
    prefix = "" if name == OUTPUT else f"{name}_"
    if isinstance(value, Mapping):
        return [(f"{prefix}{key}", item) for key, item in value.items()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(f"{prefix}{field.name}", getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(f"{prefix}{field}", item) for field, item in zip(value._fields, value, strict=True)]
    if isinstance(value, tuple | list):
        return [(f"{name}_{index}", item) for index, item in enumerate(value)]
    return None


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _unique(pairs: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        fresh, count = name, 2
        while fresh in found:
            fresh, count = f"{name}_{count}", count + 1
        found[fresh] = value
    return found
