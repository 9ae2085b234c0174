"""What the user asks of inputs: sizes of free axes (``--input``), and axes that have to be free (``--dynamic``)."""

from collections.abc import Mapping

from packager.converters.tensorflow.source import Shape
from packager.core.conversion import ConversionRequest, InputHint
from packager.core.errors import ConverterMissing, UsageError
from runtime.contract.dtypes import Datatype


def asked_shapes(
    shapes: Mapping[str, Shape | None], types: Mapping[str, Datatype], request: ConversionRequest
) -> dict[str, Shape | None]:
    """The shapes of a model's inputs with the sizes that were asked for; what must stay free is.

    Args:
        shapes: By input name, as the model has them; None where it does not say the rank.

    Raises:
        UsageError: There is no such input, or it has another type or shape.
        ConverterMissing: The model itself fixes an axis that has to be free.
    """
    made = dict(shapes)
    for hint in request.inputs:
        _check_name(f"--input {hint.name}", hint.name, made)
        made[hint.name] = _sized(hint, made[hint.name], types[hint.name])
    for text in request.options.get("dynamic", ()):
        name, _, axis = str(text).rpartition(":")
        _check_name(f"--dynamic {text}", name, made)
        _check_free(text, made[name], int(axis))
    return made


def _check_name(option: str, name: str, shapes: Mapping[str, Shape | None]) -> None:
    if name not in shapes:
        raise UsageError(f"{option}: the model has no input {name!r}", hint=f"its inputs are {', '.join(shapes)}")


def _sized(hint: InputHint, own: Shape | None, dtype: Datatype) -> Shape:
    wanted = tuple(size if isinstance(size, int) else None for size in hint.shape)
    if hint.dtype != dtype:
        raise UsageError(
            f"--input {hint.name}: the model's type is {dtype}, asked is {hint.dtype}",
            hint=f"give the model's own: --input {hint.name}={dtype}:{','.join(map(str, hint.shape))}",
        )
    if own is not None and not _fits(own, wanted):
        raise UsageError(
            f"--input {hint.name}: the model's shape is {list(own)}, asked is {list(hint.shape)}",
            hint="give a size to an axis that is free (None); one that has a size stays as it is",
        )
    return wanted


def _fits(own: Shape, wanted: Shape) -> bool:
    return len(own) == len(wanted) and all(size in (None, asked) for size, asked in zip(own, wanted, strict=True))


def _check_free(text: str, shape: Shape | None, axis: int) -> None:
    if shape is None:
        return
    if axis >= len(shape):
        raise UsageError(f"--dynamic {text}: the input has {len(shape)} axes", hint="axes are counted from 0")
    if shape[axis] is not None:
        raise ConverterMissing(
            f"--dynamic {text}: the model itself fixes that axis at {shape[axis]}",
            hint="build the model with None for that axis, and save it again",
        )
