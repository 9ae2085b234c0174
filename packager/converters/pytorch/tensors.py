"""Arrays as the tensors that a model takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.pytorch.inputs import Form
from packager.core.errors import ConversionError

Array = NDArray[Any]
# Rows of the example that is exported: more than one, which torch takes for a constant, and unlike most sizes.
_EXAMPLE_ROWS = 5
_SMALLEST_FREE = 2


def float_type(model: Any) -> Any:
    """The type of floats that a model computes in: that of its weights; None where it has none.

    Raises:
        ConversionError: They are of a type that neither ONNX Runtime nor the protocol has for inputs.
    """
    import torch

    state = model.state_dict if isinstance(model, torch.export.ExportedProgram) else model.state_dict()
    kinds = [value.dtype for value in state.values() if isinstance(value, torch.Tensor) and value.is_floating_point()]
    if not kinds:
        return torch.float32
    if any(kind not in (torch.float16, torch.float32, torch.float64) for kind in kinds):
        odd = next(kind for kind in kinds if kind not in (torch.float16, torch.float32, torch.float64))
        raise ConversionError(
            f"the weights are {str(odd).removeprefix('torch.')}, which ONNX Runtime does not compute in on a processor",
            hint="save them as float32, which holds every one of their values: model.float()",
        )
    return max(kinds, key=kinds.count)


def as_taken(array: Array, wanted: Any) -> Any:
    """The tensor of an array, floats in the type that the model computes in.

    Args:
        wanted: None leaves the type as it is.
    """
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.to(wanted) if wanted is not None and tensor.is_floating_point() else tensor


def enlarged(tensors: Mapping[str, Any], form: Form) -> dict[str, Any]:
    """An example for the exporter: a few rows, and every free axis long enough not to look constant."""
    import torch

    sized = {}
    for name, tensor in tensors.items():
        other = tensor[: form.fixed_rows] if form.fixed_rows else tensor
        for axis in form.axes[name]:
            size = tensor.shape[axis]
            length = _EXAMPLE_ROWS if axis == 0 else max(_SMALLEST_FREE, size)
            other = other.index_select(axis, torch.arange(length) % size)
        sized[name] = other
    return sized
