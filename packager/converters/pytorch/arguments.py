"""What a model is called with: the names of its arguments, and how tensors of these names make a call."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packager.converters.torch_export import named_tensors
from packager.core.errors import ConversionError, SampleError


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of ``forward``.

    Attributes:
        names: In order; those of a ``*args`` are numbers.
        required: Those without a default.
        open: Whether any number of arguments is taken by position.
    """

    names: tuple[str, ...]
    required: tuple[str, ...]
    open: bool = False

    def check(self, given: Sequence[str], what: str) -> None:
        """Refuse names that no argument has, and the lack of one that is required.

        Raises:
            SampleError: Names them, and what the model takes.
        """
        unknown = [name for name in given if name not in self.names and not self.open]
        missing = [name for name in self.required if name not in given]
        if unknown or missing:
            wrong = f"lack the input {missing[0]!r}" if missing else f"name the input {unknown[0]!r}"
            raise SampleError(
                f"{what} {wrong}; the model takes {', '.join(self.names) or 'nothing by name'}",
                hint=f"give {', '.join(self.required)}, by these names",
                detail={"missing": missing, "unknown": unknown},
            )


def arguments_of(model: Any) -> Arguments:
    """The arguments of a module's, a script's or a program's ``forward``."""
    import torch

    if isinstance(model, torch.jit.ScriptModule):
        schema = list(model.forward.schema.arguments)[1:]  # the first is the module itself
        names = tuple(argument.name for argument in schema)
        return Arguments(names, tuple(argument.name for argument in schema if not argument.has_default_value()))
    kinds = inspect.Parameter
    parameters = list(inspect.signature(model.forward).parameters.values())
    names = tuple(one.name for one in parameters if one.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD))
    required = tuple(
        one.name
        for one in parameters
        if one.default is one.empty and one.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
    )
    return Arguments(names, required, open=not names)


def by_name(example: Any, arguments: Arguments) -> dict[str, Any]:
    """An example of the user's as arguments by name: a tensor, a tuple or list in order, or a dict.

    Raises:
        ConversionError: It holds more than the model takes.
    """
    if isinstance(example, Mapping):
        arguments.check([str(name) for name in example], "the example's names")
        return {str(name): value for name, value in example.items()}
    values = list(example) if isinstance(example, tuple | list) else [example]
    names = tuple(str(index) for index in range(len(values))) if arguments.open else arguments.names
    if len(values) > len(names):
        raise ConversionError(
            f"the example holds {len(values)} arguments, and the model takes {len(names)}: {', '.join(names)}",
            hint="return (module, example) with a tensor, a tuple in the order of forward, or a dict by name",
        )
    return dict(zip(names, values, strict=False))


def tensors_of(example: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of an example by the names that inputs will have."""
    found = named_tensors(example)
    if not found:
        raise ConversionError("the example holds no tensor", hint="return (module, example) with tensors in it")
    return {f"input_{name}" if name.isdecimal() else name: tensor for name, tensor in found.items()}
