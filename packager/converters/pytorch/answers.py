"""The model's own answers, by output name, with one row a sample."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.pytorch.sources import Source
from packager.converters.torch_export import output_tensors
from packager.core.errors import ConversionError, SampleError

Array = NDArray[Any]
# Up to so many rows are asked one at a time, so that none sees another; more in batches, once those answer alike.
_ALONE = 256
_BATCH = 64
_NUMPY = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "bool"}  # fmt: skip


def answers(source: Source, tensors: Sequence[Any], *, rows: int | None, step: int) -> dict[str, Array]:
    """Answers to all samples.

    Args:
        rows: How many samples there are; None where the tensors are one call, whose answers have no rows.
        step: Rows of one call, where the model takes no other number.

    Raises:
        SampleError: The model stops at the samples, with its own words.
        ConversionError: An output has no row a sample, or is of a type that ONNX's clients cannot have.
    """
    if rows is None:
        return {name: np.atleast_1d(value) for name, value in asked(source, tensors).items()}
    several = _check_rows(source, tensors, max(step, min(rows, 3)) if step == 1 else step)
    if step == 1:
        _check_one_row(source, tensors, several)
    size = step if step > 1 else _call_size(source, tensors, rows)
    calls = [asked(source, [tensor[start : start + size] for tensor in tensors]) for start in range(0, rows, size)]
    return {name: _joined(name, [call[name] for call in calls]) for name in calls[0]}


def asked(source: Source, tensors: Sequence[Any]) -> dict[str, Array]:
    """The answer to one call."""
    import torch

    try:
        with torch.no_grad():
            returned = source.answer(tensors)
    except Exception as error:
        raise _stopped(source, tensors, error) from error
    return {name: _array(name, tensor) for name, tensor in output_tensors(returned).items()}


def _stopped(source: Source, tensors: Sequence[Any], error: Exception) -> SampleError:
    shapes = ", ".join(
        f"{name} {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
        for name, tensor in zip(source.inputs, tensors, strict=True)
    )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return SampleError(
        f"{source.name} stops at {shapes}: {type(error).__name__}: {(lines[-1] if lines else '')[:300]}",
        hint="give rows that it takes with --samples FILE.npz, or shapes and types with --input NAME=DTYPE:N,…",
        detail={"torch": str(error)[:2000]},
    )


def _array(name: str, tensor: Any) -> Array:
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in _NUMPY or tensor.layout != _strided():
        raise ConversionError(
            f"the output {name!r} holds {kind} numbers, which no client of the protocol can read",
            hint="return real numbers: torch.view_as_real(x) for complex ones, x.float() for bfloat16",
        )
    found: Array = tensor.detach().numpy()
    return found


def _strided() -> Any:
    import torch

    return torch.strided


def _check_rows(source: Source, tensors: Sequence[Any], rows: int) -> dict[str, Array]:
    """Every output has one row a sample: its first axis is the batch. The answer to so many."""
    few = [tensor[:rows] for tensor in tensors]
    found = asked(source, few)
    for name, value in found.items():
        if not value.ndim or len(value) != len(few[0]):
            raise ConversionError(
                f"the output {name!r} has the shape {list(value.shape)} for {len(few[0])} samples: its first axis does"
                " not count them",
                hint="return it with the batch first, as states.transpose(0, 1) of a recurrent layer, or leave it out",
            )
    return found


def _check_one_row(source: Source, tensors: Sequence[Any], several: Mapping[str, Array]) -> None:
    """The axis of samples stays where there is one sample; ``squeeze()`` takes it away."""
    for name, value in asked(source, [tensor[:1] for tensor in tensors]).items():
        if value.ndim < several[name].ndim:
            raise ConversionError(
                f"the output {name!r} has the shape {list(value.shape)} for a single sample, and"
                f" {list(several[name].shape)} for {len(several[name])}: its batch axis goes with the second sample",
                hint="name the axis that is to go, as in x.squeeze(-1); squeeze() takes every axis of size 1 away",
            )


def _call_size(source: Source, tensors: Sequence[Any], rows: int) -> int:
    if rows <= _ALONE:
        return 1
    few = [tensor[:8] for tensor in tensors]
    whole = asked(source, few)
    alone = [asked(source, [tensor[row : row + 1] for tensor in few]) for row in range(len(few[0]))]
    same = all(_alike(value, _joined(name, [call[name] for call in alone])) for name, value in whole.items())
    return _BATCH if same else 1


def _alike(one: Array, other: Array) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, atol=1e-6, rtol=1e-5, equal_nan=True))


def _joined(name: str, parts: Sequence[Array]) -> Array:
    if len({part.shape[1:] for part in parts}) > 1:
        raise ConversionError(
            f"the output {name!r} has another size for every sample",
            hint="return one size: pad it, or keep the first k",
        )
    joined: Array = np.concatenate(parts)
    return joined


def same_answers(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    """Whether two answers are equal to the last bit; a model that draws random numbers fails it."""
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name], equal_nan=True) for name in one)
