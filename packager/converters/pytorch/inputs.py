"""The inputs of a model: names, types, shapes and free axes, from samples, ``--input`` or an example."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.pytorch.arguments import Arguments
from packager.core.conversion import ConversionRequest, InputHint
from packager.core.errors import ConversionError, SampleError, UsageError
from runtime.contract.dtypes import DTYPES

Array = NDArray[Any]
Axes = dict[str, dict[int, str]]
BATCH = "batch"
# Sizes of axes that --input leaves free: of images larger, so that pooling has something to pool.
_FREE_SIZE, _FREE_IMAGE_SIZE = 8, 32
_IMAGE_RANK = 4
_DYNAMIC = re.compile(r"(.+):(\d+)")


@dataclass(frozen=True, slots=True)
class InputForm:
    """One input.

    Attributes:
        shape: Of one call; axis 0 is the number of rows in it.
    """

    name: str
    dtype: "np.dtype[Any]"
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """All inputs of a call.

    Attributes:
        axes: By input name, the free axes and their names.
        fixed_rows: Where the user fixed them, the number of rows in a call; None where they are free.
    """

    inputs: tuple[InputForm, ...]
    axes: Axes
    fixed_rows: int | None

    @property
    def whole_call(self) -> bool:
        """Whether the inputs share no rows, so that a sample is a whole call."""
        return self.fixed_rows is None and not all(0 in axes for axes in self.axes.values())

    def limited_to(self, axes: Axes | None, name: str) -> "Form":
        """The form of a model that was saved with its free axes: no others can be had.

        Raises:
            ConversionError: An axis that should be free was frozen when it was saved; names it, and its size.
        """
        if axes is None:
            return self
        for one in self.inputs:
            for index in self.axes[one.name]:
                if index not in axes.get(one.name, {}):
                    raise _frozen(one, index, name)
        return Form(self.inputs, {one.name: axes[one.name] for one in self.inputs}, self.fixed_rows)


def _frozen(one: InputForm, index: int, name: str) -> ConversionError:
    fixed = ",".join(str(size) if axis <= index else "…" for axis, size in enumerate(one.shape))
    axis = "batch axis" if index == 0 else f"axis {index}"
    return ConversionError(
        f"{name} was exported with the {axis} of {one.name!r} frozen to {one.shape[index]}",
        hint="export it again with dynamic_shapes={"
        f"{one.name!r}: {{{index}: torch.export.Dim.DYNAMIC}}}}, or keep it with --input {one.name}=DTYPE:{fixed}",
        detail={"input": one.name, "axis": index, "size": one.shape[index]},
    )


def form_of_arrays(arrays: Mapping[str, Array], request: ConversionRequest) -> Form:
    """The form that samples, or an example, have; axis 0 is free unless ``--input`` fixes it."""
    hints = _hints(request, tuple(arrays))
    inputs = tuple(InputForm(name, _dtype(array, hints.get(name)), array.shape) for name, array in arrays.items())
    for one in inputs:
        hint = hints.get(one.name)
        if hint is not None and not _fits(hint.shape, one.shape):
            raise SampleError(
                f"{one.name!r} has the shape {list(one.shape)} in the samples, and --input says"
                f" {','.join(map(str, hint.shape))}",
                hint="give samples of that shape, one row a sample",
            )
    form = _free(inputs, hints, request)
    counts = {one.shape[0] for one in inputs if one.shape}
    if form.fixed_rows and any(count % form.fixed_rows for count in counts):
        raise SampleError(
            f"the samples hold {max(counts)} rows, and --input fixes {form.fixed_rows} for a call",
            hint=f"give {form.fixed_rows} rows, or a multiple of it, or leave the first axis free with a letter",
        )
    return form


def form_of_hints(arguments: Arguments, request: ConversionRequest) -> Form | None:
    """The form that ``--input`` gives for all inputs that are needed; None where it gives none."""
    if not request.inputs:
        return None
    arguments.check([hint.name for hint in request.inputs], "the --input options")
    hints = {hint.name: hint for hint in request.inputs}
    inputs = tuple(
        InputForm(hint.name, np.dtype(DTYPES[hint.dtype].numpy), _sized(hint.shape)) for hint in request.inputs
    )
    return _free(inputs, hints, request)


def example_line(arguments: Arguments, shapes: Sequence[str]) -> str:
    """Options that would say what is missing."""
    names = arguments.required or arguments.names or ("input",)
    forms = [*shapes, *["FP32:N,8"] * len(names)]
    return " ".join(f"--input {name}={form}" for name, form in zip(names, forms, strict=False))


def free_letters(form: Form) -> set[str]:
    """Names of the free axes."""
    return {name for axes in form.axes.values() for name in axes.values()}


def _free(inputs: tuple[InputForm, ...], hints: Mapping[str, InputHint], request: ConversionRequest) -> Form:
    """The form with its free axes: the rows, letters of ``--input``, and ``--dynamic``."""
    axes: Axes = {one.name: {} for one in inputs}
    fixed = {
        hint.shape[0] for hint in hints.values() if hint.shape and isinstance(hint.shape[0], int) and hint.name in axes
    }
    by_rows = all(one.shape for one in inputs) and not fixed
    for one in inputs:
        shape = hints[one.name].shape if one.name in hints else ()
        axes[one.name] = {index: str(dim) for index, dim in enumerate(shape) if isinstance(dim, str) and index}
        if by_rows:
            axes[one.name][0] = BATCH
    _add_dynamic(axes, {one.name: one.shape for one in inputs}, request.options.get("dynamic", []))
    rows = next(iter(fixed)) if len(fixed) == 1 else None
    return Form(inputs, {name: dict(sorted(free.items())) for name, free in axes.items()}, rows)


def _add_dynamic(axes: Axes, shapes: Mapping[str, tuple[int, ...]], options: Sequence[str]) -> None:
    """Axes of one number and one size get one name, because they mean the same in nearly every model."""
    for text in options:
        found = _DYNAMIC.fullmatch(str(text))
        if found is None or found[1] not in axes:
            raise UsageError(
                f"--dynamic {text!r} names no axis of an input",
                hint=f"write {next(iter(axes), 'x')}:1 for its second axis",
            )
        name, index = found[1], int(found[2])
        if index >= len(shapes[name]):
            raise UsageError(
                f"--dynamic {text!r}: {name!r} has {len(shapes[name])} axes", hint="axes are counted from 0"
            )
        same = {
            axes[other][index]
            for other in axes
            if other != name and index in axes[other] and shapes[other][index] == shapes[name][index]
        }
        axes[name].setdefault(index, next(iter(same), BATCH if index == 0 else f"{name}_{index}"))


def _hints(request: ConversionRequest, names: tuple[str, ...]) -> dict[str, InputHint]:
    unknown = [hint.name for hint in request.inputs if hint.name not in names]
    if unknown:
        raise SampleError(
            f"--input names {unknown[0]!r}, and the model takes {', '.join(names)}", hint="use the model's own names"
        )
    return {hint.name: hint for hint in request.inputs}


def _dtype(array: Array, hint: InputHint | None) -> "np.dtype[Any]":
    return array.dtype if hint is None else np.dtype(DTYPES[hint.dtype].numpy)


def _fits(wanted: Sequence[int | str], shape: tuple[int, ...]) -> bool:
    """Axis 0 of samples counts them; the other axes are those of the model."""
    if len(wanted) != len(shape):
        return False
    return all(isinstance(dim, str) or dim == size for dim, size in zip(wanted[1:], shape[1:], strict=True))


def _sized(shape: Sequence[int | str]) -> tuple[int, ...]:
    free = _FREE_IMAGE_SIZE if len(shape) >= _IMAGE_RANK else _FREE_SIZE
    return tuple(dim if isinstance(dim, int) else free for dim in shape)
